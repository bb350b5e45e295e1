"""Changes against the earlier window."""

import pytest

from apps.dashboards.scenes import change_of


@pytest.mark.parametrize(
    ("now", "before", "text", "direction"),
    [
        (118, 100, "18 % against Q2", "up"),
        (50, 100, "50 % against Q2", "down"),
        (100.2, 100, "as in Q2", "same"),
        (12_000, 100, "120 times Q2", "up"),
        (5, 0, "no figure for Q2", ""),
        (5, None, "no figure for Q2", ""),
        (None, 5, "no figure for Q2", ""),
        (0, 5, "100 % against Q2", "down"),
    ],
)
def test_a_change_reads_as_people_say_it(now: float | None, before: float | None, text: str, direction: str) -> None:
    change = change_of(now, before, "Q2")
    assert (change.text.replace("\u202f", " "), change.direction) == (text, direction)
