"""Benchmarks that print ratios: what the portal does against what stands beside it, in the same run, on one machine.

``make bench`` or ``python -m bench [NAME ...]``. None of them is a timed test: a slow machine is slow on both sides.
"""
