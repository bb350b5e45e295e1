"""The recipes: every page renders with this portal's address, and what is to be pasted is what the portal knows."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.dashboards.recipes import recipes

SERVERS = ("vllm", "triton", "tgi", "torchserve", "kserve", "ray-serve", "wallaroo")


@pytest.mark.parametrize("name", SERVERS)
def test_a_page_gives_lines_to_paste_with_the_address_of_this_portal(signed_in: Client, name: str):
    page = signed_in.get(f"/o/acme/connect/recipes/{name}/").content.decode()
    assert "http://testserver/api/prometheus/write" in page
    assert "PORTAL/" not in page
    assert "scrape_interval: 15s" in page


def test_the_contents_link_to_every_page(signed_in: Client):
    page = signed_in.get("/o/acme/connect/recipes/").content.decode()
    for name in SERVERS:
        assert f'href="/o/acme/connect/recipes/{name}/"' in page
    assert {text.name for text in recipes()} == {"README", *SERVERS}


def test_another_name_is_not_found(signed_in: Client):
    assert signed_in.get("/o/acme/connect/recipes/nobody/").status_code == 404
