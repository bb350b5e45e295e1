"""Why a body as a whole was refused; faults of single rows are no exceptions but part of the batch."""

from __future__ import annotations


class UnreadableError(ValueError):
    """The body cannot be read; the message says where and what was expected. Answered with 400."""


class TooLargeError(ValueError):
    """The body, packed or unpacked, or its number of rows is beyond the limit. Answered with 413."""


class UnsupportedError(ValueError):
    """A media type, character set or encoding that is not understood. Answered with 415."""
