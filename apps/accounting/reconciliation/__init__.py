"""Telemetry held against the meters of each site, and the difference booked into the accounts."""
