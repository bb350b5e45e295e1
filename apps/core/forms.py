"""Form widgets that every room uses."""

from __future__ import annotations

from typing import Any

from django import forms


class DayInput(forms.DateInput):
    """A date field whose value is written as browsers take it, ``2026-07-01``, whatever the language of the page."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs=attrs, format="%Y-%m-%d")
