"""The demo organisation: two quarters of published training runs and of a simulated load, one command to make it.

Nothing in here is measured by anybody. What is published carries its citation, what is simulated says so, and both
go through the same doors as real data: the services of the rooms and the one telemetry intake.
"""
