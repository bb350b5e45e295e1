"""The ``# key: value`` lines above a table of our own, and the fields of a dataset that they give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from apps.factors.formats.book import Book, text_of
from apps.factors.formats.table import Fault, Given

REQUIRED = ("slug", "edition", "publisher", "title", "boundary", "licence")
OPTIONAL = ("kind", "basis", "gwp_set", "source_url", "retrieved_via", "perimeter", "rank")
BOUNDARIES = ("direct", "life_cycle")
PERIMETERS = ("generation", "consumption", "unstated")
LONGEST = {"slug": 80, "edition": 40, "publisher": 120, "title": 300, "licence": 200, "basis": 200}
LONGEST_OTHER = 300

Lines = dict[str, tuple[int, str]]


def split(book: Book, sheet: str) -> tuple[Lines, int, list[str]]:
    """The heading's values with their rows, the row of the column names (0: none) and the names."""
    lines: Lines = {}
    for row, cells in book.rows(sheet):
        texts = [text_of(cell) for cell in cells]
        if not texts[0].startswith("#"):
            return lines, row, texts
        # A spreadsheet pads heading lines with empty cells and splits them at commas.
        whole = ",".join(str(cell or "") for cell in cells).rstrip(",")
        key, _, value = whole.lstrip("# ").partition(":")
        lines[key.strip().lower()] = (row, value.strip())
    return lines, 0, []


def facts(lines: Lines, given: Given, *, kinds: Sequence[str], default_kind: str) -> tuple[dict[str, Any], list[Fault]]:
    """The fields of the dataset, and what is wrong with the heading. What the user gave stands before the file."""
    faults: list[Fault] = []
    for key, (row, value) in lines.items():
        if key not in REQUIRED + OPTIONAL:
            faults.append(Fault(row, "-", f"# {key}", f"one of {', '.join(REQUIRED + OPTIONAL)}"))
        if len(value) > (longest := LONGEST.get(key, LONGEST_OTHER)):
            faults.append(Fault(row, "-", f"{len(value)} characters", f"at most {longest} for {key}"))

    def text(key: str, default: str = "") -> str:
        return given.get(key, "").strip() or lines.get(key, (0, ""))[1] or default

    def check(key: str, allowed: Sequence[str]) -> None:
        row, value = lines.get(key, (1, ""))
        if value and value not in allowed:
            faults.append(Fault(row, "-", f"# {key}: {value}", f"{key} as one of {', '.join(allowed)}"))

    for key in REQUIRED:
        if not text(key):
            faults.append(Fault(1, "-", "no such line", f"a heading line `# {key}: ...`"))
    check("boundary", BOUNDARIES)
    check("kind", kinds)
    check("gwp_set", ("AR4", "AR5", "AR6"))
    check("perimeter", PERIMETERS)
    if text("slug") and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text("slug")):
        faults.append(Fault(lines.get("slug", (1, ""))[0], "-", text("slug"), "small letters, digits and hyphens"))
    rank = text("rank", "50")
    if not re.fullmatch(r"\d{1,3}", rank):
        expected = "a number from 0 to 999, lower for the better source"
        faults.append(Fault(lines["rank"][0], "-", rank, expected))
        rank = "50"
    names = [key for key in REQUIRED + OPTIONAL if key not in ("kind", "rank", "perimeter")]
    kind = lines.get("kind", (0, ""))[1] or default_kind
    return {
        **{key: text(key) for key in names},
        "kind": kind,
        "rank": int(rank),
        "perimeter": text("perimeter", "unstated"),
    }, faults
