"""The data colours: one meaning everywhere, on screen, in the PDF and in spreadsheets.

Each meaning has a colour for light paper and one for the dark scheme, and a pattern, because a colour alone says
nothing in grey print or to a colour-blind reader. ``static/css/portal.css`` repeats the values as
``--data-<meaning>``; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataColour:
    light: str
    dark: str
    pattern: str = ""  # a plotly pattern shape; the SVG charts draw the same hatching


PALETTE: dict[str, DataColour] = {
    "training": DataColour("#1b4f7f", "#6aa9e0"),
    "inference": DataColour("#1f9c95", "#3fc2b8"),
    "idle": DataColour("#dca832", "#e8bf5a", "/"),
    "overhead": DataColour("#9aa4a9", "#7d898e", "."),
    "other": DataColour("#7b68a6", "#a996d6", "-"),
    "location": DataColour("#3a3f86", "#989eec"),
    "market": DataColour("#d9762b", "#ee9a55", "/"),
    "restated": DataColour("#a83a72", "#de7fae", "\\"),
    "missing": DataColour("#c6ccce", "#4a5558", "x"),
}

INK = "#17211f"
INK_SOFT = "#56625f"
RULE = "#dbe1df"
PAPER = "#ffffff"
ACCENT = "#0b6b6b"

# The phases of the API in the groups that a chart of at most five series shows.
KIND_GROUP: dict[str, str] = {
    "training": "training",
    "fine_tuning": "training",
    "inference": "inference",
    "idle": "idle",
    "evaluation": "other",
    "data": "other",
    "other": "other",
}

LABELS: dict[str, str] = {
    "training": "Training",
    "inference": "Inference",
    "idle": "Idle",
    "overhead": "Overhead (PUE)",
    "other": "Other",
    "location": "Location-based",
    "market": "Market-based",
    "restated": "Restated",
    "missing": "Missing",
}


def colour(meaning: str) -> str:
    """The colour on paper of a meaning. Raises ``KeyError`` for a meaning that has none."""
    return PALETTE[meaning].light
