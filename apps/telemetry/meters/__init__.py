"""Meters: counters and gauges that are read at an instant, whatever protocol the readings come by.

A meter reading is stored as it came (:mod:`intake`); the energy between readings is derived when an hour settles
(:mod:`derive`, by the pure functions of :mod:`increments`), so that late, repeated and out-of-order readings need no
special case.
"""
