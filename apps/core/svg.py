"""Small charts as vector drawings: bars, stacked bars, paired bars, a line. Text in, text out, no dependency.

The same call gives the same bytes. Every chart carries its text alternative (``<title>`` and ``<desc>``), labels its
series directly, and tells them apart by a hatching besides the colour, so that it reads in grey print and for people
who see colours differently. Values are numbers of one unit; what is printed beside a bar is the caller's own text,
because only the caller knows how a figure is rounded. Lengths are CSS pixels (96 to the inch).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from apps.core.palette import INK, RULE
from apps.core.palette import INK_SOFT as MUTED

FONT = "'Source Sans', sans-serif"
TEXT = 11.0
SMALL = 10.0
BAR = 13.0
KEY = 9.0

# Advance widths of a humanist sans in em, by class of character: enough to keep labels apart, not to set type.
_WIDTHS = {**dict.fromkeys("iljtfI.,:;'|!()[] ·", 0.27), **dict.fromkeys("mwMW%@—", 0.82)}


@dataclass(frozen=True, slots=True)
class Series:
    """One meaning: its name, its colour, its hatching (see ``HATCHES``) and a value per category (``None``: absent)."""

    name: str
    values: Sequence[float | None]
    colour: str
    hatch: str = ""


HATCHES = ("", "/", "\\", "-", ".", "x")


def text_width(text: str, size: float = TEXT) -> float:
    """About how wide a text is, in pixels."""
    return size * sum(_WIDTHS.get(c, 0.58 if c.isupper() else 0.5) for c in text)


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """The text, cut with an ellipsis so that it takes no more than ``width`` pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def nice_ticks(highest: float, most: int = 5) -> list[float]:
    """Round axis values from 0 to the first one at or above ``highest``, ``most`` steps at most."""
    if highest <= 0:
        return [0.0, 1.0]
    raw = highest / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * (1 - 1e-9))
    return [round(i * step, 12) for i in range(math.ceil(highest / step - 1e-9) + 1)]


def tick_text(value: float) -> str:
    """An axis value without superfluous zeros: ``0``, ``2.5``, ``1,200``."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def _n(value: float) -> str:
    """A coordinate, two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: float = TEXT, fill: str = INK) -> str:
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}"{place}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str = RULE, width: float = 0.75) -> str:
    return (
        f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{stroke}" stroke-width="{_n(width)}"/>'
    )


def _hatching(x: float, y: float, w: float, h: float, hatch: str, gap: float = 4.5) -> str:
    """White lines or dots over a rectangle, cut at its edges here and not by a clip path, which some viewers print
    badly. They are anchored at the drawing's origin, so that the pieces of one series line up."""
    lines: list[tuple[float, float, float, float]] = []
    if hatch in ("/", "x"):
        # x + y = c
        c = gap * math.sqrt(2) * math.ceil((x + y) / (gap * math.sqrt(2)))
        while c < x + y + w + h:
            lines.append((max(x, c - y - h), min(y + h, c - x), min(x + w, c - y), max(y, c - x - w)))
            c += gap * math.sqrt(2)
    if hatch in ("\\", "x"):
        # x - y = c
        c = gap * math.sqrt(2) * math.ceil((x - y - h) / (gap * math.sqrt(2)))
        while c < x - y + w:
            lines.append((max(x, c + y), max(y, x - c), min(x + w, c + y + h), min(y + h, x + w - c)))
            c += gap * math.sqrt(2)
    if hatch in ("-", "."):
        level = gap * math.ceil((y + 0.5) / gap)
        while level < y + h - 0.3:
            lines.append((x, level, x + w, level))
            level += gap
    if not lines:
        return ""
    path = "".join(f"M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}" for x1, y1, x2, y2 in lines)
    dots = ' stroke-dasharray="1.4 3"' if hatch == "." else ""
    return f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="{"1.3" if dots else "0.9"}"{dots}/>'


def _block(x: float, y: float, w: float, h: float, colour: str, hatch: str = "") -> str:
    if w <= 0 or h <= 0:
        return ""
    rectangle = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" fill="{colour}"/>'
    return rectangle + (_hatching(x, y, w, h, hatch) if hatch else "")


def _drawing(width: float, height: float, title: str, description: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_n(width)} {_n(height)}"'
        f' width="{_n(width)}" height="{_n(height)}" font-family="{FONT}">'
        # A tagged PDF takes its alternative text from the title alone, so the title says it all.
        f"<title>{escape(f'{title}. {description}' if description else title)}</title>"
        f"<desc>{escape(description)}</desc>{''.join(body)}</svg>"
    )


def legend(series: Sequence[Series], x: float, y: float) -> tuple[list[str], float]:
    """Keys with names in one row from ``x``, baseline ``y``; the drawing and where it ends."""
    body = []
    for one in series:
        body.append(_block(x, y - KEY + 0.5, KEY, KEY, one.colour, one.hatch))
        body.append(_text(x + KEY + 5, y, one.name))
        x += KEY + 5 + text_width(one.name) + 20
    return body, x


def _apart(wanted: Sequence[float], distance: float, lowest: float) -> list[float]:
    """Positions as near as possible to the wanted ones (ascending), ``distance`` apart, none beyond ``lowest``."""
    placed: list[float] = []
    for y in wanted:
        placed.append(max(y, placed[-1] + distance) if placed else y)
    limit = lowest
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - distance
    return placed


def stacked_columns(
    categories: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    unit: str,
    description: str = "",
    width: float = 604,
    height: float = 210,
) -> str:
    """Columns over time, the parts of each one stacked; the names stand beside the last column.

    A category whose values are all absent gets no column and a dash.
    """
    label_width = 18 + max((text_width(one.name) for one in series), default=0)
    totals = [sum(one.values[i] or 0 for one in series) for i in range(len(categories))]
    ticks = nice_ticks(max(totals, default=0))
    top = ticks[-1]
    left = max(text_width(tick_text(t), SMALL) for t in ticks) + 8
    right, upper, lower = width - label_width - 8, 22.0, height - 20
    y_of: Callable[[float], float] = lambda value: lower - (lower - upper) * value / top  # noqa: E731
    body = [_text(0, 11, unit, size=SMALL, fill=MUTED)]
    for tick in ticks:
        body.append(_line(left, y_of(tick), right, y_of(tick)))
        body.append(_text(left - 5, y_of(tick) + 3.5, tick_text(tick), anchor="end", size=SMALL, fill=MUTED))
    pitch = (right - left) / max(1, len(categories))
    column = min(36.0, pitch * 0.72)
    middles = [lower] * len(series)
    every = max(1, math.ceil((max(map(text_width, categories), default=0) + 6) / pitch)) if categories else 1
    for i, category in enumerate(categories):
        x = left + pitch * (i + 0.5)
        base = 0.0
        for s, one in enumerate(series):
            value = one.values[i] or 0
            body.append(
                _block(
                    x - column / 2, y_of(base + value), column, y_of(base) - y_of(base + value), one.colour, one.hatch
                )
            )
            middles[s] = y_of(base + value / 2)
            base += value
        if all(one.values[i] is None for one in series):
            body.append(_text(x, lower - 4, "—", anchor="middle", fill=MUTED))
        if i % every == 0:
            body.append(_text(x, lower + 14, category, anchor="middle", size=SMALL, fill=MUTED))
    body.append(_line(left, lower, right, lower, MUTED))
    order = sorted(range(len(series)), key=lambda s: (middles[s], -s))
    for s, y in zip(order, _apart([middles[s] for s in order], 14, lower - 2), strict=True):
        body.append(_block(right + 8, y - KEY / 2, KEY, KEY, series[s].colour, series[s].hatch))
        body.append(_text(right + 8 + KEY + 5, y + 3.8, series[s].name))
    return _drawing(width, height, title, description, body)


def _row_geometry(categories: Sequence[str], width: float, share: float) -> float:
    return min(width * share, max(map(text_width, categories), default=0) + 10)


def paired_bars(
    categories: Sequence[str],
    pair: tuple[Series, Series],
    labels: tuple[Sequence[str], Sequence[str]],
    *,
    title: str,
    description: str = "",
    width: float = 604,
) -> str:
    """Two bars for each category on one axis, each with its printed value; equal in size and weight."""
    left = _row_geometry(categories, width, 0.34)
    room = max((text_width(label) for column in labels for label in column), default=0) + 10
    scale = (width - left - room) / (max((v or 0 for one in pair for v in one.values), default=0) or 1)
    body, _ = legend(pair, left, 11)
    y = 24.0
    for i, category in enumerate(categories):
        body.append(_text(left - 8, y + BAR + 3, shortened(category, left - 8), anchor="end"))
        for s, one in enumerate(pair):
            length = (one.values[i] or 0) * scale
            if one.values[i]:
                length = max(length, 0.75)
            body.append(_block(left, y, length, BAR - 1, one.colour, one.hatch))
            body.append(_text(left + length + 5, y + BAR - 3.2, labels[s][i], size=SMALL))
            y += BAR
        y += 9
    body.append(_line(left, 20, left, y - 5, MUTED))
    return _drawing(width, y, title, description, body)


def stacked_rows(
    categories: Sequence[str],
    series: Sequence[Series],
    labels: Sequence[str],
    *,
    title: str,
    description: str = "",
    width: float = 604,
    whole: bool = False,
) -> str:
    """One bar per category, its parts side by side, the printed total at its end.

    ``whole``: every bar is 100 % and ``labels`` are not drawn as lengths differ in no way that matters.
    """
    left = _row_geometry(categories, width, 0.34)
    room = 0 if whole else max(map(text_width, labels), default=0) + 10
    totals = [sum(one.values[i] or 0 for one in series) for i in range(len(categories))]
    highest = max(totals, default=0) or 1
    body, _ = legend(series, left, 11)
    y = 24.0
    for i, category in enumerate(categories):
        body.append(_text(left - 8, y + BAR - 2.5, shortened(category, left - 8), anchor="end"))
        x = left
        scale = (width - left - room) / ((totals[i] or 1) if whole else highest)
        for one in series:
            length = (one.values[i] or 0) * scale
            if one.values[i]:
                length = max(length, 0.75)
            body.append(_block(x, y, length, BAR + 1, one.colour, one.hatch))
            share = 100 * (one.values[i] or 0) / (totals[i] or 1)
            if whole and share >= 6:
                text = f"{share:.0f} %"
                half = text_width(text, SMALL) / 2 + 3
                body.append(
                    f'<rect x="{_n(x + length / 2 - half)}" y="{_n(y + 1.5)}" width="{_n(2 * half)}"'
                    f' height="{_n(BAR - 2)}" fill="#ffffff"/>'
                )
                body.append(_text(x + length / 2, y + BAR - 2.5, text, anchor="middle", size=SMALL))
            x += length
        if not whole:
            body.append(_text(x + 5, y + BAR - 2.5, labels[i], size=SMALL))
        y += BAR + 9
    body.append(_line(left, 20, left, y - 4, MUTED))
    return _drawing(width, y, title, description, body)


def bars(
    categories: Sequence[str],
    series: Series,
    labels: Sequence[str],
    *,
    title: str,
    description: str = "",
    width: float = 604,
    highest: float | None = None,
) -> str:
    """One bar per category with its printed value; ``highest`` sets the full length (1 for a ratio)."""
    left = _row_geometry(categories, width, 0.34)
    room = max(map(text_width, labels), default=0) + 10
    full = highest or max((v or 0 for v in series.values), default=0) or 1
    body = []
    y = 4.0
    for i, category in enumerate(categories):
        value = series.values[i]
        length = (value or 0) / full * (width - left - room)
        body.append(_text(left - 8, y + BAR - 3, shortened(category, left - 8), anchor="end"))
        body.append(_block(left, y, length, BAR, series.colour, series.hatch))
        body.append(_text(left + length + 5, y + BAR - 3, labels[i], size=SMALL))
        y += BAR + 6
    body.append(_line(left, 0, left, y - 3, MUTED))
    return _drawing(width, y, title, description, body)


def ranged_bars(
    series: Sequence[Series],
    ranges: Sequence[tuple[float, float] | None],
    labels: Sequence[str],
    *,
    title: str,
    description: str = "",
    width: float = 604,
) -> str:
    """One bar per series (of one value each) with a whisker over its range, and its printed value behind it.

    The bars are pale, so that the lower half of a whisker is seen on them.
    """
    names = [one.name for one in series]
    left = _row_geometry(names, width, 0.34)
    room = max(map(text_width, labels), default=0) + 14
    ends = [limits[1] if limits else one.values[0] or 0 for one, limits in zip(series, ranges, strict=True)]
    scale = (width - left - room) / (max(ends, default=0) or 1)
    body = []
    y = 4.0
    for one, limits, end, label in zip(series, ranges, ends, labels, strict=True):
        value = one.values[0]
        body.append(_text(left - 8, y + BAR - 1, shortened(one.name, left - 8), anchor="end"))
        if value is None:
            body.append(_text(left + 5, y + BAR - 1, "—", size=SMALL, fill=MUTED))
        else:
            block = _block(left, y, max(value * scale, 0.75 if value else 0), BAR + 3, one.colour, one.hatch)
            body.append(f'<g opacity="0.5">{block}</g>' if block else "")
            body.append(_text(left + end * scale + 9, y + BAR - 1, label, size=SMALL))
        if value is not None and limits:
            low, high, middle = left + limits[0] * scale, left + limits[1] * scale, y + (BAR + 3) / 2
            body.append(_line(low, middle, high, middle, INK, 1.25))
            body += [_line(x, middle - 5, x, middle + 5, INK, 1.25) for x in (low, high)]
        y += BAR + 13
    body.append(_line(left, 0, left, y - 6, MUTED))
    return _drawing(width, y, title, description, body)


def line(
    categories: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    unit: str,
    description: str = "",
    width: float = 604,
    height: float = 180,
) -> str:
    """Values over time; the axis starts at zero, an absent value breaks the line, the name stands at its end."""
    present = [v for one in series for v in one.values if v is not None]
    ticks = nice_ticks(max(present, default=0), 4)
    label_width = max((text_width(one.name) for one in series), default=0) + 14
    left = max(text_width(tick_text(t), SMALL) for t in ticks) + 8
    right, upper, lower = width - label_width, 22.0, height - 20
    pitch = (right - left) / max(1, len(categories))
    y_of: Callable[[float], float] = lambda value: lower - (lower - upper) * value / ticks[-1]  # noqa: E731
    body = [_text(0, 11, unit, size=SMALL, fill=MUTED)]
    for tick in ticks:
        body.append(_line(left, y_of(tick), right, y_of(tick)))
        body.append(_text(left - 5, y_of(tick) + 3.5, tick_text(tick), anchor="end", size=SMALL, fill=MUTED))
    every = max(1, math.ceil((max(map(text_width, categories), default=0) + 6) / pitch)) if categories else 1
    for i, category in enumerate(categories):
        if i % every == 0:
            body.append(_text(left + pitch * (i + 0.5), lower + 14, category, anchor="middle", size=SMALL, fill=MUTED))
    body.append(_line(left, lower, right, lower, MUTED))
    ends: list[tuple[float, float, Series]] = []
    for one in series:
        dash = ' stroke-dasharray="5 3"' if one.hatch else ""
        pieces: list[list[tuple[float, float]]] = [[]]
        for i, value in enumerate(one.values):
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append((left + pitch * (i + 0.5), y_of(value)))
        for piece in filter(None, pieces):
            points = " ".join(f"{_n(x)},{_n(y)}" for x, y in piece)
            body.append(f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="1.75"{dash}/>')
            body.extend(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="2" fill="{one.colour}"/>' for x, y in piece)
            last = piece[-1]
        if any(pieces):
            ends.append((last[1], last[0], one))
    ends.sort(key=lambda end: end[0])
    for (_, x, one), y in zip(ends, _apart([end[0] for end in ends], 13, lower), strict=True):
        body.append(_text(x + 7, y + 3.8, one.name, fill=one.colour))
    return _drawing(width, height, title, description, body)
