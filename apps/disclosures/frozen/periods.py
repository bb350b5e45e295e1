"""The periods that a disclosure prints totals of."""

from __future__ import annotations

from datetime import date

from apps.core.windows import Quarter, Window, midnight


def windows(quarter: Quarter) -> dict[str, tuple[str, Window]]:
    """Label and window of the quarter, the one before, the same one last year, and the year up to its end."""
    previous, year_ago = quarter.previous(), Quarter(quarter.year - 1, quarter.number)
    year_to_date = Window(midnight(date(quarter.year, 1, 1)), quarter.window.end)
    return {
        "quarter": (str(quarter), quarter.window),
        "previous": (str(previous), previous.window),
        "year_ago": (str(year_ago), year_ago.window),
        "year_to_date": (
            str(quarter) if quarter.number == 1 else f"{quarter.year}-Q1 to Q{quarter.number}",
            year_to_date,
        ),
    }
