"""HTML to PDF with WeasyPrint: tagged PDF/A-3a with its evidence inside, the same bytes for the same input.

WeasyPrint is imported where it is used: it takes a second and 40 MiB that web processes have no use for. A worker
sets a document in a process of its own (:func:`render_apart`), which needs neither Django's models nor pandas: half
the memory, given back at once, and a document that cannot be set takes no worker with it.
"""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from apps.core.finders import package_folder

VARIANT = "pdf/a-3a"
FAMILY = "Source Sans"
FACES = (
    ("SourceSansPro-Regular.otf", 400, "normal"),
    ("SourceSansPro-Semibold.otf", 600, "normal"),
    ("SourceSansPro-It.otf", 400, "italic"),
)
EVIDENCE = "evidence.json"
TIMEOUT_S = 300  # twenty pages take a few seconds


class SettingFailedError(Exception):
    """The process that sets pages ended without a document; the text says how."""


def font_faces() -> dict[str, Path]:
    """File address of each font face, from the installed package, and where it lies."""
    folder = package_folder("font_source_sans_pro", "files")
    return {(folder / name).as_uri(): folder / name for name, _, _ in FACES}


def font_css() -> str:
    addresses = list(font_faces())
    return "".join(
        f"@font-face{{font-family:'{FAMILY}';src:url('{address}');font-weight:{weight};font-style:{style}}}"
        for address, (_, weight, style) in zip(addresses, FACES, strict=True)
    )


def _fetcher() -> Any:
    """Fetches the fonts and nothing else: no text in a snapshot can make the document read a file or call a host."""
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    faces = font_faces()

    class FontsOnly(URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: Any = None) -> Any:
            if url not in faces:
                raise ValueError(f"the document asks for {url}, which is none of its fonts")
            return URLFetcherResponse(url, faces[url].read_bytes(), {"Content-Type": "font/otf"})

    return FontsOnly()


def render_pdf(html: str, evidence: str, collected_at: datetime) -> bytes:
    """The PDF of an HTML text, with ``evidence`` (JSON) embedded.

    Every date in it is ``collected_at`` and its identifier the evidence's digest, so that two renderings by the same
    versions of the portal, WeasyPrint and the fonts are the same bytes.
    """
    from weasyprint import CSS, HTML, Attachment
    from weasyprint.text.fonts import FontConfiguration

    fetcher = _fetcher()
    fonts = FontConfiguration()
    style = CSS(string=font_css(), font_config=fonts, url_fetcher=fetcher)
    attachment = Attachment(
        string=evidence,
        name=EVIDENCE,
        description="Every figure, factor and text of this document",
        created=collected_at,
        modified=collected_at,
        relationship="Source",
        url_fetcher=fetcher,
    )
    document = HTML(string=html, url_fetcher=fetcher).render(font_config=fonts, stylesheets=[style])
    result: bytes = document.write_pdf(
        pdf_variant=VARIANT,
        pdf_identifier=hashlib.sha256(evidence.encode()).hexdigest()[:32].encode(),
        attachments=[attachment],
        custom_metadata=True,
    )
    return result


def render_apart(html: str, evidence: str, collected_at: datetime) -> bytes:
    """The same as :func:`render_pdf`, in a process of its own. Raises ``SettingFailedError``."""
    order = json.dumps({"html": html, "evidence": evidence, "collected_at": collected_at.isoformat()})
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=order.encode(),
            capture_output=True,
            cwd=Path(__file__).resolve().parents[2],
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SettingFailedError(f"setting the pages took more than {TIMEOUT_S} seconds") from None
    if done.returncode < 0:
        raise SettingFailedError(
            f"the process that sets the pages was ended by signal {-done.returncode}, most likely for want of memory"
        )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise SettingFailedError(lines[-1] if lines else f"exit status {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    gc.disable()  # the process ends with its document; looking for garbage in a million boxes takes a tenth of its time
    _order = json.load(sys.stdin)
    _pdf = render_pdf(_order["html"], _order["evidence"], datetime.fromisoformat(_order["collected_at"]))
    sys.stdout.buffer.write(_pdf)
