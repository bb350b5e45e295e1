"""Date fields as browsers take them."""

from __future__ import annotations

import importlib
import inspect
from datetime import date

import pytest
from django import forms
from django.utils import translation

from apps.core.forms import DayInput


class Days(forms.Form):
    day = forms.DateField(widget=DayInput())


@pytest.mark.parametrize("language", ["en-gb", "de", "en"])
def test_a_day_is_written_and_read_as_browsers_take_it(language: str):
    with translation.override(language):
        assert 'type="date"' in str(Days(initial={"day": date(2026, 7, 9)}))
        assert 'value="2026-07-09"' in str(Days(initial={"day": date(2026, 7, 9)}))
        bound = Days({"day": "2026-07-09"})
        assert bound.is_valid()
        assert bound.cleaned_data["day"] == date(2026, 7, 9)


def test_every_date_field_of_the_portal_uses_it():
    found = 0
    for name in (
        "apps.organisations.forms",
        "apps.sites.forms",
        "apps.sites.measurements.forms",
        "apps.procurement.forms",
        "apps.accounting.estimates.forms",
        "apps.accounting.imports.forms",
    ):
        module = importlib.import_module(name)
        for _, form in inspect.getmembers(module, inspect.isclass):
            for field in getattr(form, "base_fields", {}).values():
                if isinstance(field, forms.DateField):
                    found += 1
                    assert isinstance(field.widget, DayInput), (name, form, field.label)
    assert found >= 10
