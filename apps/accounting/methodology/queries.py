"""The methodology's text: one source for the documentation, the site's page and the disclosure's annex."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from apps.accounting.engine.version import ENGINE_VERSION

FOLDER = Path(settings.BASE_DIR) / "docs" / "methodology"
CONTENTS = "README"
_LINK = re.compile(r"\(([a-z0-9-]+)\.md\)")


@dataclass(frozen=True, slots=True)
class Text:
    """One page: its name in links, its title and its Markdown, without the title."""

    name: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Methodology:
    """Every page in the order of the contents, the contents first.

    ``version``: that of the engine which the text describes. ``digest``: SHA-256 over all pages; another text,
    another digest.
    """

    version: str
    digest: str
    texts: tuple[Text, ...]

    def text(self, name: str) -> Text | None:
        return next((text for text in self.texts if text.name == name), None)


@cache
def methodology() -> Methodology:
    """The methodology as it is shipped. A page that the contents do not name stands at the end, by name."""
    contents = _read(FOLDER / f"{CONTENTS}.md")
    named = list(dict.fromkeys(_LINK.findall(contents.body)))
    others = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in {CONTENTS, *named})
    texts = (contents, *(_read(FOLDER / f"{name}.md") for name in [*named, *others]))
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text.name}\n{text.title}\n{text.body}\n".encode())
    return Methodology(ENGINE_VERSION, digest.hexdigest(), texts)


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
