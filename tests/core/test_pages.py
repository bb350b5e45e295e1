"""The shell of the pages: errors, headers, the packaged files."""

import pytest
from django.contrib.staticfiles import finders
from django.test import Client


@pytest.mark.django_db
def test_an_unknown_address_answers_404_and_says_what_to_do(client: Client) -> None:
    response = client.get("/nothing-here")
    assert response.status_code == 404
    assert "Check the address" in response.text
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["vendor/plotly/plotly.min.js", "vendor/source-sans/SourceSansPro-Regular.otf", "css/portal.css"]
)
def test_packaged_files_are_served_from_here(path: str) -> None:
    assert finders.find(path)
