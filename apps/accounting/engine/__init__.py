"""The accounting engine: pure functions on numbers and frames, readable by an auditor. No Django, no models."""
