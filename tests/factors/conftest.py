"""Reference data for the tests of this room."""

from __future__ import annotations

import pytest

from apps.factors.services import load_grid_zones, load_reference_data


@pytest.fixture
def reference_data(db: None) -> None:
    load_reference_data()


@pytest.fixture
def grid_zones(db: None) -> None:
    """Only the zones, for tests that bring their own factors."""
    load_grid_zones()
