"""Texts kept as Markdown files in ``docs/``: one source for the repository, the site's pages and printed annexes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

CONTENTS = "README"
_LINK = re.compile(r"\(([a-z0-9-]+)\.md\)")


@dataclass(frozen=True, slots=True)
class Text:
    """One page: its name in links, its title and its Markdown, without the title."""

    name: str
    title: str
    body: str


def read_texts(folder: Path) -> tuple[Text, ...]:
    """Every page of a folder in the order of its contents, the contents first; pages not named there last, by name."""
    contents = _read(folder / f"{CONTENTS}.md")
    named = list(dict.fromkeys(_LINK.findall(contents.body)))
    others = sorted(path.stem for path in folder.glob("*.md") if path.stem not in {CONTENTS, *named})
    return (contents, *(_read(folder / f"{name}.md") for name in [*named, *others]))


def _read(path: Path) -> Text:
    title, _, body = path.read_text(encoding="utf-8").partition("\n")
    return Text(path.stem, title.removeprefix("# ").strip(), body.strip())


def as_html(text: Text, *, link: Callable[[str], str], headings_from: int = 2) -> str:
    """The Markdown of a page as HTML; raw HTML in it is shown, not run.

    ``link`` gives the address of another page by its name. ``headings_from``: the level of the page's first headings.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text.body)
    _fit(tokens, link, headings_from - 2)
    rendered = markdown.renderer.render(tokens, markdown.options, {})
    return rendered.replace("<table>", '<div class="table-wrap"><table>').replace("</table>", "</table></div>")


def _fit(tokens: list[Token], link: Callable[[str], str], down: int) -> None:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + down, 6)}"
        href = token.attrGet("href")
        if isinstance(href, str) and re.fullmatch(r"[A-Za-z0-9-]+\.md", href):
            token.attrSet("href", link(href.removesuffix(".md")))
        if token.children:
            _fit(token.children, link, down)
