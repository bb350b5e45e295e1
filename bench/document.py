"""P1 to P3: one quarter's document. Our charts against none, against Plotly's browser images, and its peak memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

from bench import portal
from bench.harness import Goal, note, report, seconds

ROUNDS = 5

P1 = Goal("P1", "document with its charts drawn / WeasyPrint alone on the same HTML", 1.15, 1.02, False)
P2 = Goal("P2", "Plotly's write_image for each chart + WeasyPrint / the same document", 8, 12, True)
P3 = Goal("P3", "peak memory of the process that sets the pages [MiB]", 200, 150, False)

CHILD = """
import json, sys
from datetime import datetime
from apps.disclosures.pdf import render_pdf
from bench.harness import peak_mib
order = json.load(sys.stdin)
pdf = render_pdf(order["html"], order["evidence"], datetime.fromisoformat(order["collected_at"]))
print(json.dumps({"peak_mib": peak_mib(), "bytes": len(pdf)}))
"""


def plotly_images(count: int) -> float:
    """Seconds that Plotly takes for ``count`` charts of the size of ours, each started as ``write_image`` does."""
    import plotly.graph_objects as go

    figure = go.Figure(
        [go.Bar(x=[f"2026-{m:02d}" for m in range(1, 13)], y=[m * (t + 1) for m in range(12)]) for t in range(8)]
    )
    figure.update_layout(barmode="stack")
    start = time.perf_counter()
    for _ in range(count):
        figure.write_image(io.BytesIO(), format="svg", width=680, height=300)
    return time.perf_counter() - start


def main() -> None:
    portal.setup()
    from apps.audit.services import canonical_json
    from apps.disclosures.pdf import render_pdf
    from apps.disclosures.report.document import html
    from tests.disclosures.example import example_snapshot

    snapshot: dict[str, Any] = example_snapshot()
    evidence = canonical_json(snapshot)
    digest = hashlib.sha256(evidence.encode()).hexdigest()
    collected_at = datetime.fromisoformat(snapshot["document"]["collected_at"])

    text = html(snapshot, digest)
    charts = len(re.findall(r"<svg", text))
    pdf = render_pdf(text, evidence, collected_at)  # warm
    from pypdf import PdfReader

    pages = len(PdfReader(io.BytesIO(pdf)).pages)
    whole, alone = [], []
    for _ in range(ROUNDS):
        alone.append(seconds(lambda: render_pdf(text, evidence, collected_at)))
        whole.append(seconds(lambda: render_pdf(html(snapshot, digest), evidence, collected_at)))
    ratio = statistics.median(w / a for w, a in zip(whole, alone, strict=True))
    size = f"{pages} pages, {charts} charts"
    report(
        P1, ratio, document=f"{statistics.median(whole):.2f} s",
        WeasyPrint=f"{statistics.median(alone):.2f} s", size=size,
    )  # fmt: skip
    if portal.wanted("P2"):
        note("Plotly's images, a browser for each")
        images = plotly_images(charts)
        report(
            P2, (images + statistics.median(alone)) / statistics.median(whole),
            Plotly=f"{images:.1f} s for {charts} charts", document=f"{statistics.median(whole):.2f} s",
        )  # fmt: skip
    order = json.dumps({"html": text, "evidence": evidence, "collected_at": collected_at.isoformat()})
    answer = subprocess.run(
        [sys.executable, "-c", CHILD], input=order, capture_output=True, text=True, check=True, env=os.environ
    )
    figures = json.loads(answer.stdout)
    report(P3, figures["peak_mib"], size=size, bytes=f"{figures['bytes']:,}")


if __name__ == "__main__":
    main()
