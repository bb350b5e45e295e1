"""The demo organisation's sites, PUE, teams and instruments. Every value is an assumption of the demo and says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apps.sites.models import ControlClass

SLUG = "demo"
NAME = "Example Intelligence (demo)"
SPRING, SUMMER, AUTUMN = date(2026, 4, 1), date(2026, 7, 1), date(2026, 10, 1)
ASSUMED = "demo assumption"

TEAMS = (
    ("assistant", "Assistant"),
    ("devtools", "Developer tools"),
    ("foundation", "Foundation models"),
    ("search", "Search"),
    ("speech", "Speech"),
    ("vision", "Vision"),
)


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site with its PUE as (first day, value, where it would come from); the last one stays in force."""

    code: str
    name: str
    control: ControlClass
    country: str
    grid_zone: str
    market: str
    time_zone: str
    pue: tuple[tuple[date, str, str], ...]


SITES = (
    DemoSite(
        code="fra1",
        name="Frankfurt hall",
        control=ControlClass.OWNED,
        country="DE",
        grid_zone="DE",
        market="DE",
        time_zone="Europe/Berlin",
        pue=(
            (SPRING, "1.27", f"{ASSUMED}: as if from the building's meters, spring"),
            (SUMMER, "1.32", f"{ASSUMED}: as if from the building's meters, summer cooling"),
        ),
    ),
    DemoSite(
        code="lla1",
        name="Luleå hall",
        control=ControlClass.LEASED,
        country="SE",
        grid_zone="SE",
        market="SE",
        time_zone="Europe/Stockholm",
        pue=((SPRING, "1.09", f"{ASSUMED}: as if from the landlord's yearly statement"),),
    ),
    DemoSite(
        code="dfw1",
        name="Dallas colocation",
        control=ControlClass.COLOCATION,
        country="US",
        grid_zone="ERCT",
        market="ERCT",
        time_zone="America/Chicago",
        pue=(
            (SPRING, "1.38", f"{ASSUMED}: as if from the colocation contract"),
            (SUMMER, "1.46", f"{ASSUMED}: as if from the colocation contract, summer"),
        ),
    ),
    DemoSite(
        code="vie1",
        name="Vienna lab",
        control=ControlClass.LEASED,
        country="AT",
        grid_zone="AT",
        market="AT",  # where no residual mix exists
        time_zone="Europe/Vienna",
        pue=((SPRING, "1.20", f"{ASSUMED}: as if estimated from the room's air conditioning"),),
    ),
    DemoSite(
        code="dub1",
        name="Dublin cloud region",
        control=ControlClass.CLOUD,
        country="IE",
        grid_zone="IE",
        market="IE",
        time_zone="Europe/Dublin",
        pue=((SPRING, "1.14", f"{ASSUMED}: as if published by the cloud provider"),),
    ),
)


@dataclass(frozen=True, slots=True)
class DemoInstrument:
    """One lot; ``retired_on`` empty: not retired, so that it fails Quality Criterion 3."""

    reference: str
    type: str
    market: str
    technology: str
    vintage_start: date
    vintage_end: date
    volume_mwh: int
    tracking_system: str
    serial_start: str
    serial_end: str
    retired_on: date | None
    note: str
    co2e_kg_per_mwh: Decimal = Decimal(0)
    supplier_attested: bool | None = None
    exclusive_claim: bool | None = None
    earmark_team: str = ""  # slug
    has_evidence: bool = False


INSTRUMENTS = (
    DemoInstrument(
        reference="DEMO-GO-DE-2026Q2",
        type="eac",
        market="DE",
        technology="Wind onshore",
        vintage_start=SPRING,
        vintage_end=SUMMER,
        volume_mwh=200,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-DE-0000001",
        serial_end="DEMO-DE-0000200",
        retired_on=date(2026, 7, 20),
        note="Simulated: covers part of Frankfurt's second quarter.",
    ),
    DemoInstrument(
        reference="DEMO-GO-DE-2026Q3",
        type="eac",
        market="DE",
        technology="Wind onshore",
        vintage_start=SUMMER,
        vintage_end=AUTUMN,
        volume_mwh=60,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-DE-0000201",
        serial_end="DEMO-DE-0000260",
        retired_on=date(2026, 10, 14),
        note="Simulated: covers part of Frankfurt's third quarter.",
    ),
    DemoInstrument(
        reference="DEMO-GO-DE-2026Q3-OPEN",
        type="eac",
        market="DE",
        technology="Solar",
        vintage_start=SUMMER,
        vintage_end=AUTUMN,
        volume_mwh=60,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-DE-0000401",
        serial_end="DEMO-DE-0000460",
        retired_on=None,
        note="Simulated: bought and not retired, so it fails Quality Criterion 3 and covers nothing.",
    ),
    DemoInstrument(
        reference="DEMO-PPA-SE-2026Q2",
        type="ppa",
        market="SE",
        technology="Hydro",
        vintage_start=SPRING,
        vintage_end=SUMMER,
        volume_mwh=310,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-SE-0000001",
        serial_end="DEMO-SE-0000310",
        retired_on=date(2026, 7, 20),
        note="Simulated: a power purchase agreement of 310 MWh a quarter.",
    ),
    DemoInstrument(
        reference="DEMO-PPA-SE-2026Q3",
        type="ppa",
        market="SE",
        technology="Hydro",
        vintage_start=SUMMER,
        vintage_end=AUTUMN,
        volume_mwh=310,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-SE-0000311",
        serial_end="DEMO-SE-0000620",
        retired_on=date(2026, 10, 14),
        note="Simulated: 310 MWh as agreed; the hall used less, and the rest is surplus.",
        exclusive_claim=True,
        has_evidence=True,
    ),
    DemoInstrument(
        reference="DEMO-GO-DE-2026Q3-ASSISTANT",
        type="eac",
        market="DE",
        technology="Hydro",
        vintage_start=SUMMER,
        vintage_end=AUTUMN,
        volume_mwh=20,
        tracking_system="Demo registry (guarantees of origin)",
        serial_start="DEMO-DE-0000501",
        serial_end="DEMO-DE-0000520",
        retired_on=date(2026, 10, 14),
        note="Simulated: earmarked to the team Assistant. Counts pro rata until the organisation chooses otherwise.",
        earmark_team="assistant",
    ),
    DemoInstrument(
        reference="DEMO-SUPPLIER-TX-2026Q3",
        type="supplier",
        market="ERCT",
        technology="Delivered mix",
        vintage_start=SUMMER,
        vintage_end=AUTUMN,
        volume_mwh=45,
        tracking_system="Demo supplier statement",
        serial_start="",
        serial_end="",
        retired_on=date(2026, 10, 14),
        note="Simulated: the rate of a supplier that attests a mix without the attributes it sold.",
        co2e_kg_per_mwh=Decimal(120),
        supplier_attested=True,
    ),
)

STANDARD_SUPPLY_PPM = 60_000  # share of regulated clean supply in the German market
STANDARD_SUPPLY_SOURCE = f"{ASSUMED}: as if from the supplier's statement"


def evidence_of(lot: DemoInstrument) -> bytes:
    """A CSV file that stands where the contract of a lot would, and says that it is none."""
    rows = (
        ("document", "DEMO: this file proves nothing; it stands where a contract or a registry statement would"),
        ("lot", lot.reference),
        ("buyer", NAME),
        ("delivered", f"{lot.vintage_start} to {lot.vintage_end} (not included)"),
        ("volume_mwh", str(lot.volume_mwh)),
        ("serials", f"{lot.serial_start} to {lot.serial_end}"),
        ("retired_on", str(lot.retired_on)),
    )
    return "".join(f'{name},"{value}"\r\n' for name, value in rows).encode()
