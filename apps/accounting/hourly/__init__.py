"""Hourly matching: the what-if under the draft of October 2025, stored by market and hour. Never a reported figure."""
