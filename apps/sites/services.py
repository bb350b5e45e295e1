"""Everything that writes sites and their PUE.

Each function is one transaction with its audit event inside, and tells the accounts to look at their inputs again.
What a user can mend is raised as Django's ``ValidationError`` by field.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record, state_of
from apps.core.signals import announce_inputs_changed
from apps.core.units import PPM
from apps.factors.models import GridZone
from apps.organisations.models import Organisation
from apps.organisations.services import save_valid
from apps.sites.models import PuePeriod, Site

RESERVED_CODES = frozenset({"manage"})  # `sites/manage/` is a page
PUE_LEAST, PUE_MOST = Decimal(1), Decimal(5)

# Places on the grid of another country, whose zone is therefore not one of their own country.
GRID_ABROAD = {
    **dict.fromkeys(("AS", "GU", "MP", "PR", "VI"), "US"),
    **dict.fromkeys(("SM", "VA"), "IT"),
    "LI": "CH",
    "MC": "FR",
}


def _check_place(site: Site) -> None:
    """Raise ``ValidationError`` unless country, zone, market and time zone are real and fit one another."""
    errors: dict[str, str] = {}
    countries = GridZone.objects.filter(type=GridZone.Type.COUNTRY)
    if not countries.filter(code=site.country).exists():
        errors["country"] = f"Expected an ISO 3166-1 alpha-2 code such as DE, got {site.country!r}."
    zone = GridZone.objects.filter(code=site.grid_zone).first()
    if zone is None:
        errors["grid_zone"] = f"Expected the code of a grid zone such as DE or ERCT, got {site.grid_zone!r}."
    elif zone.country not in {"", site.country, GRID_ABROAD.get(site.country)} and "country" not in errors:
        errors["grid_zone"] = f"{zone} lies in {zone.country}, the site in {site.country}."
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9-]{1,19}", site.market):
        errors["market"] = f"Expected the code of a market such as DE or US-TX, got {site.market!r}."
    if site.time_zone not in available_timezones():
        errors["time_zone"] = f"Expected an IANA time zone such as Europe/Berlin, got {site.time_zone!r}."
    if errors:
        raise ValidationError(errors)


def _save(site: Site) -> None:
    site.name = site.name.strip()
    site.country, site.grid_zone, site.market = (
        text.strip().upper() for text in (site.country, site.grid_zone, site.market)
    )
    _check_place(site)
    save_valid(site)


@transaction.atomic
def create_site(
    *,
    organisation: Organisation,
    code: str,
    name: str,
    control: str,
    country: str,
    grid_zone: str,
    market: str,
    actor: str,
    time_zone: str = "UTC",
) -> Site:
    """A new site. The code is what telemetry names it by and never changes. Raises ``ValidationError``."""
    if code in RESERVED_CODES:
        raise ValidationError({"code": f"{code} is a word of this portal's own addresses; take another code."})
    site = Site(
        organisation=organisation,
        code=code,
        name=name,
        control=control,
        country=country,
        grid_zone=grid_zone,
        market=market,
        time_zone=time_zone,
    )
    _save(site)
    record(organisation_id=organisation.pk, actor=actor, action="site.created", instance=site, after=state_of(site))
    announce_inputs_changed(organisation.pk)
    return site


@transaction.atomic
def update_site(
    *,
    site: Site,
    name: str,
    control: str,
    country: str,
    grid_zone: str,
    market: str,
    time_zone: str,
    actor: str,
    reason: str = "",
) -> Site:
    """Change what is said of a site, for all its readings. Raises ``ValidationError``."""
    site = Site.objects.of(site.organisation_id).select_for_update().get(pk=site.pk)
    before = state_of(site)
    site.name, site.control, site.country = name, control, country
    site.grid_zone, site.market, site.time_zone = grid_zone, market, time_zone
    _save(site)
    after = state_of(site)
    if after != before:
        record(
            organisation_id=site.organisation_id,
            actor=actor,
            action="site.updated",
            instance=site,
            before=before,
            after=after,
            reason=reason,
        )
        announce_inputs_changed(site.organisation_id)
    return site


def pue_in_ppm(pue: Decimal) -> int:
    """PUE in parts per million. Raises ``ValidationError`` outside 1 to 5 or finer than a millionth."""
    if not pue.is_finite() or not PUE_LEAST <= pue <= PUE_MOST:
        raise ValidationError({"pue": f"Expected a PUE from 1 to 5 (facility energy / IT energy), got {pue}."})
    ppm = pue * PPM
    if ppm != int(ppm):
        raise ValidationError({"pue": f"Expected at most six decimals, got {pue}."})
    return int(ppm)


@transaction.atomic
def set_pue(
    *,
    site: Site,
    start: date,
    pue: Decimal,
    source: str,
    actor: str,
    end: date | None = None,
    reason: str = "",
) -> PuePeriod:
    """The site's PUE during ``[start, end)``, or from ``start`` on (ISO/IEC 30134-2).

    A period that is open when a later one starts ends there; one that starts on the same day is corrected. Raises
    ``ValidationError`` for a value outside 1 to 5 and for a period that overlaps another.
    """
    pue_ppm = pue_in_ppm(pue)
    if end is not None and end <= start:
        raise ValidationError({"end": f"Expected a day after {start}, got {end}."})
    # The site's row is held so that two periods set at once cannot overlap.
    site = Site.objects.of(site.organisation_id).select_for_update().get(pk=site.pk)
    periods = PuePeriod.objects.of(site.organisation_id).filter(site=site)
    open_before = periods.filter(end__isnull=True, start__lt=start).first()
    others = periods.exclude(start=start)
    if open_before is not None:
        others = others.exclude(pk=open_before.pk)
    overlap = others.filter(Q(end__isnull=True) | Q(end__gt=start))
    if end is not None:
        overlap = overlap.filter(start__lt=end)
    other = overlap.order_by("start").first()
    if other is not None:
        until = f"until {other.end}" if other.end else "with no end"
        mend = f"Expected an end of {other.start} or before." if other.start > start else "Withdraw that one first."
        raise ValidationError(
            {"end" if other.start > start else "start": f"Overlaps the PUE set from {other.start} {until}. {mend}"}
        )
    if open_before is not None:
        before = state_of(open_before)
        open_before.end = start
        save_valid(open_before)
        _record_pue("pue.ended", open_before, actor, before, state_of(open_before), reason)
    period = periods.filter(start=start).first()
    corrected = state_of(period) if period is not None else None
    if period is None:
        period = PuePeriod(organisation_id=site.organisation_id, site=site, start=start)
    period.end, period.pue_ppm, period.source = end, pue_ppm, source.strip()
    save_valid(period)
    _record_pue("pue.corrected" if corrected else "pue.set", period, actor, corrected, state_of(period), reason)
    announce_inputs_changed(site.organisation_id)
    return period


@transaction.atomic
def withdraw_pue(*, period: PuePeriod, actor: str, reason: str = "") -> None:
    """Take a period back that was set by mistake; the log keeps what it said."""
    _record_pue("pue.withdrawn", period, actor, state_of(period), None, reason)
    period.delete()
    announce_inputs_changed(period.organisation_id)


def _record_pue(
    action: str,
    period: PuePeriod,
    actor: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
    reason: str,
) -> None:
    record(
        organisation_id=period.organisation_id,
        actor=actor,
        action=action,
        instance=period,
        before=before,
        after=after,
        reason=reason,
    )
