"""Reference data for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from apps.factors.services import load_grid_zones, load_reference_data
from tests.sharing import taken_back


@pytest.fixture
def reference_data(db: None) -> None:
    load_reference_data()


@pytest.fixture(scope="module")
def reference_data_of_the_file(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with taken_back(django_db_blocker):
        load_reference_data()
        yield


@pytest.fixture
def shared_reference_data(reference_data_of_the_file: None, db: None) -> None:
    """The same as ``reference_data``, loaded once for a file whose tests all look at it."""


@pytest.fixture
def grid_zones(db: None) -> None:
    """Only the zones, for tests that bring their own factors."""
    load_grid_zones()
