"""The methodology's text: one source for the documentation, the site's page and the disclosure's annex."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

from apps.accounting.engine.version import ENGINE_VERSION
from apps.core.texts import Text, read_texts

FOLDER = Path(settings.BASE_DIR) / "docs" / "methodology"


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
    """The methodology as it is shipped."""
    texts = read_texts(FOLDER)
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text.name}\n{text.title}\n{text.body}\n".encode())
    return Methodology(ENGINE_VERSION, digest.hexdigest(), texts)
