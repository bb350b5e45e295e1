"""Organisation-owned rows are never reached without saying whose."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import models

from apps.core.tenancy import OrganisationManager, OrganisationOwned, UnscopedQueryError
from apps.organisations.models import Organisation, Team

OWNED = [model for model in apps.get_models() if issubclass(model, OrganisationOwned)]


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model._meta.label)
def test_objects_raises_until_it_is_told_whose_rows(model: type[models.Model]) -> None:
    manager = model.objects  # type: ignore[attr-defined]
    assert isinstance(manager, OrganisationManager)
    for forgetful in (manager.all, manager.count, lambda: manager.filter(pk=1), lambda: manager.get(pk=1)):
        with pytest.raises(UnscopedQueryError, match=r"needs \.of\(organisation\)"):
            forgetful()


@pytest.mark.django_db
def test_of_gives_the_rows_of_one_organisation(
    organisation: Organisation, other_organisation: Organisation, team: Team
) -> None:
    Team.unscoped.create(organisation=other_organisation, slug="theirs", name="Theirs")
    assert list(Team.objects.of(organisation)) == [team]
    assert list(Team.objects.of(organisation.pk)) == [team]
    assert not Team.objects.of(other_organisation).filter(pk=team.pk).exists()


def test_a_model_with_an_organisation_is_scoped_unless_only_machines_write_it() -> None:
    """Rows that people make inherit the scoped manager; the bulk tables of intake and ledger are the exception.

    So are factor datasets: most are the installation's, and ``factors.queries.visible_datasets`` is their door.
    """
    unscoped = {
        model._meta.app_label
        for model in apps.get_models()
        if any(field.name == "organisation" for field in model._meta.fields) and model not in OWNED
    }
    assert unscoped <= {"telemetry", "accounting", "factors"}
