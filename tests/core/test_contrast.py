"""Contrast of the style sheet in both schemes (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "static/css/portal.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    for block in (CSS.split("@media")[0], CSS.split(':root[data-scheme="dark"]')[1].split("}")[0])
)


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"), ("ink", "rail"), ("ink", "hover"), ("ink", "wash"),
        ("ink-soft", "paper"), ("ink-soft", "rail"), ("ink-soft", "hover"), ("ink-soft", "wash"),
        ("accent", "paper"), ("accent", "rail"), ("accent", "accent-wash"), ("accent-ink", "accent"),
        ("ok", "ok-wash"), ("warn", "warn-wash"), ("bad", "bad-wash"), ("bad", "paper"), ("info", "info-wash"),
        ("ink", "warn-wash"), ("ink", "bad-wash"), ("ink", "ok-wash"), ("ink", "info-wash"),
    ],
)  # fmt: skip
def test_text_can_be_read(scheme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("meaning", ["training", "inference", "other", "location", "market", "restated"])
def test_data_stands_out_from_the_paper(scheme: dict[str, str], meaning: str) -> None:
    assert contrast(scheme[f"data-{meaning}"], scheme["paper"]) >= 3
