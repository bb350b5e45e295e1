"""Rows that belong to one organisation, and managers that cannot forget it.

``Model.objects`` of an organisation-owned model answers nothing until it is told whose rows are meant:
``Team.objects.of(organisation)``. Everything else raises, so that a forgotten filter is an error in the first test
and never somebody else's data on a page. Code that works for the whole installation (migrations, the admin, sweeps)
says so by writing ``unscoped``.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model, covariant=True)


class HasPrimaryKey(Protocol):
    pk: Any


class UnscopedQueryError(RuntimeError):
    """A query on organisation-owned rows that does not say whose rows it wants."""


class OrganisationManager(models.Manager[Row]):
    """The manager named ``objects`` of every organisation-owned model; only :meth:`of` leads to rows."""

    def of(self, organisation: HasPrimaryKey | int) -> models.QuerySet[Row]:
        """The rows of one organisation, given as an object or as its primary key."""
        key = organisation if isinstance(organisation, int) else organisation.pk
        return super().get_queryset().filter(organisation_id=key)

    def get_queryset(self) -> models.QuerySet[Row]:
        raise UnscopedQueryError(
            f"{self.model.__name__}.objects needs .of(organisation); code for the whole installation uses .unscoped"
        )


class OrganisationOwned(models.Model):
    """Base of every model whose rows belong to one organisation."""

    organisation = models.ForeignKey("organisations.Organisation", on_delete=models.PROTECT, related_name="+")

    unscoped = models.Manager()  # declared first: Django's own machinery uses it
    objects = OrganisationManager()

    class Meta:
        abstract = True
