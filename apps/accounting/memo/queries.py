"""The Scope 3 memo of an organisation: categories 1, 2 and 3, each in rows of its own, read from the ledger.

Rules: :mod:`apps.accounting.engine.memo` and, for embodied hardware, :mod:`apps.accounting.engine.sci`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, cast

from apps.accounting.adoption.queries import adoptions_of
from apps.accounting.engine import sci
from apps.accounting.engine.intensity import MS_PER_HOUR
from apps.accounting.engine.memo import LOSSES, UPSTREAM, Category3, category_3
from apps.accounting.queries import LedgerQuery, ledger_frame, location_rates
from apps.accounting.work.queries import UNNAMED_HARDWARE, used_accelerator_ms
from apps.core.figures import is_absent
from apps.core.units import round_half_up, ug_per_kwh
from apps.core.windows import Window, epoch_hour, midnight
from apps.factors import queries as factors
from apps.factors.models import Factor, FactorDataset
from apps.sites.models import Site
from apps.workloads import queries as workloads

PARTS = {
    "cloud": ("1", "Purchased cloud computing"),
    "embodied": ("2", "Embodied emissions of hardware in use"),
    UPSTREAM: ("3", "Upstream of purchased electricity"),
    LOSSES: ("3", "Transmission and distribution losses"),
}
IN_LIFE_CYCLE = "the grid factor in use is a life-cycle one: upstream emissions are inside the Scope 2 figure already"


@dataclass(frozen=True, slots=True)
class MemoRow:
    """One figure of the memo [mg CO2e], absent with the reason in ``note``; ``working`` has the numbers put in."""

    part: str
    site: str | None
    site_name: str | None
    hardware: str | None
    energy_milliwatt_hours: int | None
    accelerator_ms: int | None
    mg: int | None
    factor: str
    working: str
    note: str

    @property
    def category(self) -> str:
        return PARTS[self.part][0]


@dataclass(frozen=True, slots=True)
class PartTotal:
    """A part of the memo in sum: what is known [mg], and how many of its rows are absent."""

    part: str
    mg: int | None
    rows: int
    absent: int

    @property
    def label(self) -> str:
        return PARTS[self.part][1]

    @property
    def category(self) -> str:
        return PARTS[self.part][0]


def memo_rows(organisation_id: int, window: Window, lifetime_years: Decimal = sci.LIFETIME_YEARS) -> list[MemoRow]:
    """Every figure of the memo in a window, by part, site and hardware. Raises ``ValueError`` for a bad lifetime."""
    return [
        *_cloud(organisation_id, window),
        *_embodied(organisation_id, window, lifetime_years),
        *_energy_related(organisation_id, window),
    ]


def totals(rows: Iterable[MemoRow]) -> list[PartTotal]:
    """Each part that has rows, in sum. Parts are of different categories and are not added."""
    found: dict[str, list[MemoRow]] = defaultdict(list)
    for row in rows:
        found[row.part].append(row)
    done = []
    for part in PARTS:
        if part in found:
            known = [row.mg for row in found[part] if row.mg is not None]
            done.append(PartTotal(part, sum(known) if known else None, len(found[part]), len(found[part]) - len(known)))
    return done


# --- Category 1 ---------------------------------------------------------------------------------------------------


def _cloud(organisation_id: int, window: Window) -> list[MemoRow]:
    rows = []
    for row in _records(LedgerQuery(organisation_id, window, ("site",), "3")):
        mg = None if is_absent(row["location_mg"]) else int(row["location_mg"])
        missing = int(row["without_factor_milliwatt_hours"])
        note = "" if not missing else "no factor known for the grid zone" + (" of a part of the energy" if mg else "")
        rows.append(
            MemoRow(
                part="cloud",
                site=str(row["site"]),
                site_name=str(row["site_name"]),
                hardware=None,
                energy_milliwatt_hours=int(row["facility_energy_milliwatt_hours"]),
                accelerator_ms=None,
                mg=mg,
                factor="",
                working="Location-based: facility energy of each hour × the factor of the grid zone in force",
                note=note,
            )
        )
    return rows


# --- Category 2 ---------------------------------------------------------------------------------------------------


def _embodied(organisation_id: int, window: Window, lifetime_years: Decimal) -> list[MemoRow]:
    rows = _records(LedgerQuery(organisation_id, window, ("hardware", "source", "boundary"), "2"))
    figures = workloads.embodied_figures()
    life_hours = sci.lifetime(lifetime_years) / MS_PER_HOUR
    found = []
    for code, used_ms in sorted(used_accelerator_ms(rows).items()):
        figure = figures.get(code)
        mg, working, label, note = None, "", "", ""
        if figure is None:
            what = "accelerators whose hardware is not named" if code == UNNAMED_HARDWARE else code
            note = f"no embodied figure known for {what}"
        else:
            mg = round_half_up(
                sci.embodied_mg(embodied_g=figure.embodied_g, reserved_ms=used_ms, lifetime_years=lifetime_years)
            )
            label = f"{figure.source_title} ({figure.year}), {figure.boundary}"
            working = (
                f"{used_ms / MS_PER_HOUR:,.3f} accelerator-hours × {figure.embodied_g / 1000:,.1f} kg"
                f" ÷ {float(life_hours):,.0f} h of life = {mg / 1e6:,.6f} kg"
            )
        found.append(MemoRow("embodied", None, None, code, None, used_ms, mg, label, working, note))
    return found


# --- Category 3 ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Published:
    """A factor of category 3 as the engine wants it."""

    zone: str
    data_year: int
    ug_per_kwh: int
    label: str


def _energy_related(organisation_id: int, window: Window) -> list[MemoRow]:
    frame = _records(LedgerQuery(organisation_id, window, ("site", "month"), "2"))
    sites = {site.code: site for site in Site.objects.of(organisation_id)}
    months: dict[str, list[tuple[date, int]]] = defaultdict(list)
    for row in frame:
        energy = int(row["facility_energy_milliwatt_hours"])
        if energy and not is_absent(row["site"]):
            months[str(row["site"])].append((date.fromisoformat(f"{row['month']}-01"), energy))
    life_cycle = _life_cycle_months(organisation_id, window, months)
    adoptions = adoptions_of(organisation_id)
    found = []
    for kind, dataset_kind in (
        (UPSTREAM, FactorDataset.Kind.UPSTREAM),
        (LOSSES, FactorDataset.Kind.LOSSES),
    ):
        published = _published(organisation_id, dataset_kind)
        for code in sorted(months):
            site = sites[code]
            zones = [site.grid_zone, *factors.zone_parents(site.grid_zone)]
            # Months that take one factor make one row, so that its working can be followed.
            groups: dict[tuple[Any, int, str], int] = defaultdict(int)
            for month, energy in months[code]:
                if kind == UPSTREAM and (code, month) in life_cycle:
                    groups[None, 0, IN_LIFE_CYCLE] += energy
                    continue
                in_use = adoptions.on(month)
                candidates = tuple(factor for dataset, factor in published if dataset in in_use)
                groups[candidates, month.year, ""] += energy
            for (candidates, year, why), energy in groups.items():
                result: Category3[_Published]
                if why:
                    result = Category3(None, None, "", why)
                else:
                    result = category_3(
                        kind=kind, energy_milliwatt_hours=energy, zones=zones, year=year, candidates=candidates
                    )
                label = (
                    f"{result.factor.label}, {result.factor.zone} {result.factor.data_year}" if result.factor else ""
                )
                found.append(
                    MemoRow(kind, code, site.name, None, energy, None, result.mg, label, result.working, result.note)
                )
    return _merged(found)


def _merged(rows: list[MemoRow]) -> list[MemoRow]:
    """Rows without a factor of one site, part and reason as one."""
    done: dict[tuple[str, str | None, str, str], MemoRow] = {}
    for row in rows:
        key = (row.part, row.site, row.working, row.note)
        before = done.get(key)
        if before is not None and row.mg is None:
            energy = (before.energy_milliwatt_hours or 0) + (row.energy_milliwatt_hours or 0)
            row = MemoRow(row.part, row.site, row.site_name, None, energy, None, None, "", "", row.note)
        done[key] = row
    return list(done.values())


def _life_cycle_months(
    organisation_id: int, window: Window, months: dict[str, list[tuple[date, int]]]
) -> set[tuple[str, date]]:
    """The months of sites whose location-based factor is a life-cycle one."""
    rates = [
        rate
        for rate in location_rates(organisation_id, window)
        if rate.factor is not None and rate.factor.dataset.boundary == FactorDataset.Boundary.LIFE_CYCLE
    ]
    found = set()
    for rate in rates:
        for month, _ in months.get(rate.site.code, ()):
            hour = max(epoch_hour(midnight(month)), window.first_hour)
            if rate.first_hour <= hour < rate.end_hour:
                found.add((rate.site.code, month))
    return found


def _published(organisation_id: int, kind: str) -> list[tuple[int, _Published]]:
    """The factors of one kind that the organisation may see, each with its dataset."""
    rows = Factor.objects.filter(
        dataset__in=factors.visible_datasets(organisation_id).filter(kind=kind), co2e_kg_per_mwh__isnull=False
    ).select_related("dataset")
    return [
        (
            row.dataset_id,
            _Published(
                row.zone_id,
                row.data_year,
                ug_per_kwh(cast(Decimal, row.co2e_kg_per_mwh)),
                factors.dataset_label(row.dataset),
            ),
        )
        for row in rows.order_by("pk")
    ]


def _records(query: LedgerQuery) -> list[dict[str, Any]]:
    frame = ledger_frame(query)
    return cast(list[dict[str, Any]], frame[frame["readings"] > 0].to_dict("records"))
