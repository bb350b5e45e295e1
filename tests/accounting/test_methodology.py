"""The methodology's text is one: of the documentation, the site and the disclosure."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.accounting.engine.version import ENGINE_VERSION
from apps.accounting.methodology.queries import FOLDER, methodology
from apps.core.texts import Text, as_html


def test_every_page_of_the_folder_is_in_it_with_a_digest_over_all() -> None:
    whole = methodology()
    assert whole.texts[0].name == "README"
    assert {text.name for text in whole.texts} == {path.stem for path in FOLDER.glob("*.md")}
    assert (whole.version, len(whole.digest)) == (ENGINE_VERSION, 64)
    assert all(text.title and text.body for text in whole.texts)


def test_links_headings_and_tables_fit_the_page_and_html_is_shown_not_run() -> None:
    text = Text("x", "X", "## A rule\n\nSee [it](market-based.md).\n\n|a|\n|-|\n|1|\n\n<script>alert(1)</script>\n")
    html = as_html(text, link=lambda name: f"/there/{name}/", headings_from=4)
    assert "<h4>A rule</h4>" in html
    assert 'href="/there/market-based/"' in html
    assert '<div class="table-wrap"><table>' in html
    assert "<script" not in html


@pytest.mark.django_db
def test_a_person_reads_it(organisation, client, make_person) -> None:
    client.force_login(make_person())
    contents = client.get(reverse("methodology", args=[organisation.slug])).text
    assert methodology().digest in contents
    page = reverse("methodology-page", args=[organisation.slug, "market-based"])
    assert page in contents
    assert "Quality Criteria" in client.get(page).text
    assert client.get(reverse("methodology-page", args=[organisation.slug, "nothing"])).status_code == 404
