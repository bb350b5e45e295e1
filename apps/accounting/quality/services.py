"""Writing the organisation's own uncertainties, by the names that the engine knows."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError

from apps.accounting.engine import uncertainty
from apps.accounting.quality.queries import OwnValue
from apps.organisations import services as organisations
from apps.organisations.models import Organisation


def set_uncertainties(*, organisation: Organisation, values: Mapping[str, OwnValue], actor: str) -> Organisation:
    """Put the organisation's own values in place of the engine's defaults; what is not named keeps its default.

    Intervals change at once, figures never. Raises ``ValidationError`` by name for an unknown one, a value outside 0
    to 200 %, or one without a basis.
    """
    errors = {}
    for name, own in values.items():
        try:
            uncertainty.table({name: own.ppm})
        except ValueError:
            most = uncertainty.MOST_PPM // 10_000
            errors[name] = f"Expected 0 to {most} %." if name in uncertainty.DEFAULTS else "No such uncertainty."
    if errors:
        raise ValidationError(errors)
    return organisations.set_uncertainties(
        organisation=organisation,
        values={name: {"ppm": own.ppm, "basis": own.basis} for name, own in values.items()},
        actor=actor,
    )
