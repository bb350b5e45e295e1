"""Published figures, recomputed from the inputs that stand beside them in print.

A method that cannot reproduce what others printed, or cannot say why it does not, is not understood. Every row gives
the publication, the inputs as printed, the formula with the numbers put in and the result of the portal's own
arithmetic; :func:`checks` holds the printed figure against it. Known misprints are kept as printed: they must differ,
or be caught by :mod:`engine.plausibility`.

[1] Strubell, Ganesh, McCallum 2019, Energy and Policy Considerations for Deep Learning in NLP, arXiv 1906.02243.
[2] Patterson et al. 2021, Carbon Emissions and Large Neural Network Training, arXiv 2104.10350 v3, table 4.
[3] Luccioni, Viguier, Ligozat 2022, Estimating the Carbon Footprint of BLOOM, arXiv 2211.02001.
[4] Meta, model cards of Llama 2 to Llama 4, repository meta-llama/llama-models.
[5] US EPA, Greenhouse Gas Equivalencies Calculator, calculations and references, page dated 2026-08-04.
[6] Green Software Foundation, SCI for AI specification (commit 4b7c0f7) and Impact Framework documentation.
[7] CodeCarbon, methodology page of the documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from apps.accounting.engine.plausibility import (
    Doubt,
    conservation_doubts,
    embodied_doubts,
    factor_doubts,
    run_doubts,
)

AGREES = "agrees"
PLAUSIBLE = "plausible"
DIFFERS = "differs"
FLAGGED = "flagged"

LB_PER_KG = Fraction(100_000_000, 45_359_237)  # 1 lb = 0.45359237 kg exactly


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a table was printed."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Check:
    """One printed figure held against its recomputation.

    ``tolerance``: relative, from the digits that the inputs are printed with. ``verdict``: ``agrees`` within it,
    ``differs`` beyond it, ``flagged`` where a plausibility rule refuses or doubts the printed figure, ``plausible``
    where the inputs to recompute it are not printed and no rule doubts it. ``expected``: the verdict that is known
    and explained in ``note``; another one is a fault of the portal.
    """

    id: str
    publication: Publication
    name: str
    working: str
    unit: str
    printed: Fraction | None
    recomputed: Fraction | None
    tolerance: Fraction
    expected: str
    note: str
    doubts: tuple[Doubt, ...] = ()

    @property
    def difference(self) -> Fraction | None:
        """Relative: (printed - recomputed) / recomputed."""
        if self.printed is None or not self.recomputed:
            return None
        return (self.printed - self.recomputed) / self.recomputed

    @property
    def verdict(self) -> str:
        if self.doubts:
            return FLAGGED
        difference = self.difference
        if difference is None:
            return PLAUSIBLE
        return AGREES if abs(difference) <= self.tolerance else DIFFERS


def checks() -> list[Check]:
    """Every published figure of the module, in the order of the publications."""
    return [*_strubell(), *_patterson(), *_bloom(), *_llama(), *_equivalences(), *_misprints()]


# --- Tables, as printed -------------------------------------------------------------------------------------------

STRUBELL = Publication("Strubell et al. 2019, table 3", "https://arxiv.org/abs/1906.02243")
STRUBELL_PUE = "1.58"
STRUBELL_LB_PER_KWH = "0.954"
# name, watts of the whole node, hours, kWh with PUE, lb CO2e, expected verdict, note
_STRUBELL_ROWS = (
    ("ST-1", "Transformer base, 8 P100", "1415.78", "12", "27", "26", AGREES, ""),
    ("ST-2", "Transformer big, 8 P100", "1515.43", "84", "201", "192", AGREES, ""),
    ("ST-3", "ELMo, 3 P100", "517.66", "336", "275", "262", AGREES, ""),
    (
        "ST-4", "BERT base, 64 V100", "12041.51", "79", "1507", "1438", DIFFERS,
        "The hours are rounded: 79.2 h give 1506.8 kWh and 1437.5 lb.",
    ),
    ("ST-5", "Architecture search, 8 P100", "1515.43", "274120", "656347", "626155", AGREES, ""),
)  # fmt: skip

PATTERSON = Publication("Patterson et al. 2021, table 4", "https://arxiv.org/abs/2104.10350")
# name, chips, days, watts, PUE, MWh, kg/kWh net, t net, kg/kWh gross (None: the same), t gross
_PATTERSON_ROWS = (
    ("PA-1", "T5", "512", "20", "310", "1.12", "85.7", "0.545", "46.7", None, None),
    ("PA-2", "Meena", "1024", "30", "289", "1.09", "232", "0.415", "96.4", None, None),
    ("PA-3", "GShard-600B", "1024", "3.1", "288", "1.09", "24.1", "0.177", "4.3", "0.201", "4.8"),
    ("PA-4", "Switch Transformer", "1024", "27", "245", "1.10", "179", "0.330", "59.1", "0.403", "72.2"),
    ("PA-5", "GPT-3", "10000", "14.8", "330", "1.10", "1287", "0.429", "552.1", None, None),
)

BLOOM = Publication("Luccioni et al. 2022 (BLOOM)", "https://arxiv.org/abs/2211.02001")
LLAMA = Publication("Meta, Llama model cards", "https://github.com/meta-llama/llama-models")
LLAMA_2_OVERHEAD, LLAMA_2_KG_PER_KWH = "1.1", "0.385"
_LLAMA_2_ROWS = (
    ("LL-1", "Llama 2 7B", "184320", "31.22"),
    ("LL-2", "Llama 2 13B", "368640", "62.44"),
    ("LL-3", "Llama 2 70B", "1720320", "291.42"),
)
# Later cards print neither PUE nor factor: energy and emissions are only held against each other. US grid average.
US_G_PER_KWH = "350"
_LLAMA_LATER_ROWS = (
    ("LL-5a", "Llama 3 8B", "1300000", "390", PLAUSIBLE),
    ("LL-5b", "Llama 3 70B", "6400000", "1900", PLAUSIBLE),
    ("LL-6a", "Llama 3.1 8B", "1460000", "420", PLAUSIBLE),
    ("LL-6b", "Llama 3.1 70B", "7000000", "2040", PLAUSIBLE),
    ("LL-6c", "Llama 3.1 405B", "30840000", "8930", PLAUSIBLE),
    ("LL-7a", "Llama 3.2 1B", "370000", "107", PLAUSIBLE),
    ("LL-7b", "Llama 3.2 3B", "460000", "133", PLAUSIBLE),
    ("LL-8a", "Llama 3.2 Vision 11B", "246120", "71", PLAUSIBLE),
    ("LL-8b", "Llama 3.2 Vision 90B", "1775120", "513", PLAUSIBLE),
    ("LL-9", "Llama 3.3 70B", "7000000", "12.9", FLAGGED),
    ("LL-10a", "Llama 4 Scout", "5000000", "1354", PLAUSIBLE),
    ("LL-10b", "Llama 4 Maverick", "2380000", "645", PLAUSIBLE),
)
LLAMA_LATER_W = "700"

EPA = Publication(
    "US EPA, Greenhouse Gas Equivalencies (2026-08-04)",
    "https://www.epa.gov/energy/greenhouse-gas-equivalencies-calculator-calculations-and-references",
)
SCI_AI = Publication("Green Software Foundation, SCI for AI", "https://github.com/Green-Software-Foundation/sci-ai")
IMPACT_FRAMEWORK = Publication(
    "Green Software Foundation, Impact Framework documentation", "https://github.com/Green-Software-Foundation/if"
)
CODECARBON = Publication("CodeCarbon, methodology", "https://mlco2.github.io/codecarbon/methodology.html")


# --- Recomputation ------------------------------------------------------------------------------------------------


def training_energy_kwh(*, watts: Fraction, hours: Fraction, pue: Fraction = Fraction(1)) -> Fraction:
    """Energy of a run [kWh]: mean power x time x PUE, the formula that [1], [2], [3] and [4] share."""
    return watts * hours * pue / 1000


def _strubell() -> list[Check]:
    rows = []
    for id_, name, watts, hours, kwh, pounds, expected, note in _STRUBELL_ROWS:
        energy = training_energy_kwh(watts=Fraction(watts), hours=Fraction(hours), pue=Fraction(STRUBELL_PUE))
        check = partial(_check, publication=STRUBELL, expected=expected, note=note)
        rows.append(
            check(
                f"{id_} kWh", name=name, working=f"{watts} W × {hours} h × {STRUBELL_PUE}", unit="kWh", printed=kwh,
                recomputed=energy, tolerance=_half_digit(kwh, "0.001"),
            )
        )  # fmt: skip
        rows.append(
            check(
                f"{id_} lb", name=name, working=f"{float(energy):,.3f} kWh × {STRUBELL_LB_PER_KWH} lb/kWh",
                unit="lb CO₂e", printed=pounds, recomputed=energy * Fraction(STRUBELL_LB_PER_KWH),
                tolerance=_half_digit(pounds, "0.001"),
            )
        )  # fmt: skip
    tonnes = Fraction("626155") / LB_PER_KG / 1000
    rows.append(
        _check(
            "ST-5 t", publication=STRUBELL, name="Architecture search, in tonnes", unit="t CO₂e",
            working="626,155 lb × 0.45359237 kg/lb", printed="284.02", recomputed=tonnes, tolerance=Fraction("0.0001"),
        )
    )  # fmt: skip
    return rows


def _patterson() -> list[Check]:
    rows = []
    for id_, name, chips, days, watts, pue, mwh, net, t_net, gross, t_gross in _PATTERSON_ROWS:
        hours = Fraction(days) * 24 * Fraction(chips)
        energy = training_energy_kwh(watts=Fraction(watts), hours=hours, pue=Fraction(pue)) / 1000
        check = partial(_check, publication=PATTERSON, name=name)
        rows.append(
            check(
                f"{id_} MWh", working=f"{chips} chips × {days} d × 24 h × {watts} W × {pue}", unit="MWh", printed=mwh,
                recomputed=energy, tolerance=Fraction("0.01"), note="Days are printed with two or three digits.",
            )
        )  # fmt: skip
        rows.append(
            check(
                f"{id_} net", working=f"{mwh} MWh × {net} kg/kWh", unit="t CO₂e", printed=t_net,
                recomputed=Fraction(mwh) * Fraction(net), tolerance=_half_digit(t_net, "0.002"),
                note="“Net”: adjusted by the operator's hourly carbon-free share, neither location- nor market-based.",
            )
        )  # fmt: skip
        if gross and t_gross:
            rows.append(
                check(
                    f"{id_} gross", working=f"{mwh} MWh × {gross} kg/kWh", unit="t CO₂e", printed=t_gross,
                    recomputed=Fraction(mwh) * Fraction(gross), tolerance=_half_digit(t_gross, "0.002"),
                )
            )  # fmt: skip
    return rows


def _bloom() -> list[Check]:
    check = partial(_check, publication=BLOOM)
    training = training_energy_kwh(watts=Fraction(400), hours=Fraction(1_082_990))
    training_t, idle_t = training * 57 / 10**6, Fraction(256_646) * 57 / 10**6
    project = [433_196, 266_522, 158_972, 87_210, 64_257, 57_961, 51_686, 43_172]
    return [
        check("BL-1", name="Final training run", working="1,082,990 GPU-h × 400 W", unit="kWh", printed="433196",
              recomputed=training, tolerance=_half_digit("433196", "0")),
        check("BL-2", name="Final training run", working="433,196 kWh × 57 g/kWh", unit="t CO₂e", printed="24.69",
              recomputed=training_t, tolerance=_half_digit("24.69", "0")),
        check("BL-3a", name="Idle consumption", working="256,646 kWh × 57 g/kWh", unit="t CO₂e", printed="14.6",
              recomputed=idle_t, tolerance=_half_digit("14.6", "0")),
        check("BL-3b", name="Training, idle and embodied", working="24.69 + 14.63 + 11.2 t", unit="t CO₂e",
              printed="50.5", recomputed=training_t + idle_t + Fraction("11.2"), tolerance=_half_digit("50.5", "0")),
        check("BL-4", name="All runs of the project", working="sum of eight rows", unit="kWh", printed="1163088",
              recomputed=Fraction(sum(project)), tolerance=Fraction("0.00001"), expected=DIFFERS,
              note="The eight rows add up to 1,162,976; the table prints 1,163,088 and the text 1,163,032."),
        check("BL-5", name="Inference for 18 days", working="914 kWh × 394 g/kWh", unit="kg CO₂e", printed="340",
              recomputed=Fraction(914 * 394, 1000), tolerance=Fraction("0.02"), expected=DIFFERS,
              note="The paper multiplies a rounded 19 kg a day by 18 days."),
        check("BL-6", name="GPT-3 in its comparison", working="1,287 MWh × 0.429 kg/kWh", unit="t CO₂e", printed="502",
              recomputed=Fraction(1287) * Fraction("0.429"), tolerance=Fraction("0.01"), expected=DIFFERS,
              note="502 is 552 / 1.1: a PUE taken out of an energy that is multiplied with it elsewhere."),
    ]  # fmt: skip


def _llama() -> list[Check]:
    rows = []
    for id_, name, hours, tonnes in _LLAMA_2_ROWS:
        energy = training_energy_kwh(watts=Fraction(400), hours=Fraction(hours), pue=Fraction(LLAMA_2_OVERHEAD))
        rows.append(
            _check(
                id_, publication=LLAMA, name=name, unit="t CO₂e", printed=tonnes,
                working=f"{int(hours):,} GPU-h × 400 W × {LLAMA_2_OVERHEAD} × {LLAMA_2_KG_PER_KWH} kg/kWh",
                recomputed=energy * Fraction(LLAMA_2_KG_PER_KWH) / 1000, tolerance=Fraction("0.0002"),
            )
        )  # fmt: skip
    printed = sum((Fraction(row[3]) for row in _LLAMA_2_ROWS), Fraction(0))
    rows.append(
        _check(
            "LL-4", publication=LLAMA, name="Llama 2, total", working="31.22 + 62.44 + 291.42 t", unit="t CO₂e",
            printed="539.00", recomputed=printed, tolerance=Fraction("0.0002"), expected=DIFFERS,
            note="The total includes a 34B model that was not released and has no row.",
        )
    )  # fmt: skip
    for id_, name, hours, tonnes, expected in _LLAMA_LATER_ROWS:
        energy = training_energy_kwh(watts=Fraction(LLAMA_LATER_W), hours=Fraction(hours))
        doubts = run_doubts(
            energy_kwh=energy, emissions_kg=Fraction(tonnes) * 1000, grid_g_per_kwh=Fraction(US_G_PER_KWH)
        )
        implied = Fraction(tonnes) * 10**6 / energy
        rows.append(
            _check(
                id_, publication=LLAMA, name=name, unit="t CO₂e", printed=tonnes, recomputed=None,
                working=f"{int(hours):,} GPU-h × {LLAMA_LATER_W} W = {float(energy / 1000):,.0f} MWh;"
                f" {tonnes} t imply {float(implied):,.1f} g/kWh",
                tolerance=Fraction("0.04"), expected=expected, doubts=doubts,
                note="A misprint: the 3.1 model of the same size and hours states 2,040 t." if doubts else
                "The card prints neither PUE nor grid factor, so only the implied factor can be judged.",
            )
        )  # fmt: skip
    return rows


def _equivalences() -> list[Check]:
    check = partial(_check, publication=EPA)
    homes = Fraction("4.798")
    return [
        check("EQ-01", name="Gasoline car, a mile", working="8.887e-3 t/gallon ÷ 22.8 miles/gallon ÷ 0.993",
              unit="t/mile", printed="0.000393", recomputed=Fraction("0.008887") / Fraction("22.8") / Fraction("0.993"),
              tolerance=Fraction("0.005")),
        check("EQ-02", name="Gasoline car, a year", working="10,917 miles × 3.93e-4 t", unit="t", printed="4.29",
              recomputed=10_917 * Fraction("0.000393"), tolerance=_half_digit("4.29", "0")),
        check("EQ-03", name="312 t in homes' electricity for a year", working="312 t ÷ 4.798 t", unit="homes",
              printed="65.03", recomputed=Fraction(312) / homes, tolerance=Fraction("0.001")),
        check("EQ-04", name="11,390 t in homes' electricity for a year", working="11,390 t ÷ 4.798 t", unit="homes",
              printed="2373.9", recomputed=Fraction(11_390) / homes, tolerance=Fraction("0.001")),
    ]  # fmt: skip


def _misprints() -> list[Check]:
    """What is printed wrongly in documents that tools are built from; each must be caught."""
    resampled = [Fraction(2)] * 6 + [Fraction(0)] * 2 + [Fraction(5)] * 2
    return [
        _check(
            "SCI-9.1.3", publication=SCI_AI, name="Tokens, example of 9.1", unit="g per 10⁶ tokens", printed="0.13",
            working="130 kg ÷ 10⁹ tokens", recomputed=Fraction(130_000 * 10**6, 10**9), tolerance=Fraction("0.01"),
            expected=DIFFERS, note="A thousandth of what the section before it gives.",
        ),
        _check(
            "SCI-9.2.3", publication=SCI_AI, name="Parameters, example of 9.2", unit="kg per 10⁹ parameters",
            printed="30", working="75,000 kg ÷ 2.5 × 10⁹ parameters", recomputed=Fraction(75_000 * 10, 25),
            tolerance=Fraction("0.01"), expected=DIFFERS, note="A thousandth; 9.2.2 prints 3,000 for the same.",
        ),
        _check(
            "IF-time-sync", publication=IMPACT_FRAMEWORK, name="Time synchronisation, example of filling a gap",
            unit="energy", printed="22", working="10 in 5 s and 10 in 2 s, resampled to seconds",
            recomputed=Fraction(20), tolerance=Fraction(0), expected=FLAGGED,
            doubts=conservation_doubts([Fraction(10)] * 2, resampled),
            note="The first interval of 5 s is written out as six seconds.",
        ),
        _check(
            "IF-sci-embodied", publication=IMPACT_FRAMEWORK, name="Embodied emissions, example manifest", unit="g CO₂e",
            printed=None, working="1,533.12 g × 3,600 s ÷ 3 s × 1/8", tolerance=Fraction(0), expected=FLAGGED,
            recomputed=Fraction("1533.12") * 3600 / 3 / 8,
            doubts=embodied_doubts(reserved_s=Fraction(3600), lifespan_s=Fraction(3)),
            note="Three years are given as 3 seconds.",
        ),
        _check(
            "CC-mix", publication=CODECARBON, name="Carbon intensity of an energy mix", unit="kg/kWh", printed="731.59",
            working="the sum is right in kg per MWh", recomputed=Fraction("0.73159"), tolerance=Fraction("0.01"),
            expected=FLAGGED, doubts=factor_doubts(Fraction("731.59") * 1000), note="kg/kWh printed for kg/MWh.",
        ),
    ]  # fmt: skip


def _check(
    id_: str,
    *,
    publication: Publication,
    name: str,
    working: str,
    unit: str,
    printed: str | None,
    recomputed: Fraction | None,
    tolerance: Fraction,
    expected: str = AGREES,
    note: str = "",
    doubts: Sequence[Doubt] = (),
) -> Check:
    return Check(
        id=id_,
        publication=publication,
        name=name,
        working=working,
        unit=unit,
        printed=None if printed is None else Fraction(printed),
        recomputed=recomputed,
        tolerance=tolerance,
        expected=expected,
        note=note,
        doubts=tuple(doubts),
    )


def _half_digit(printed: str, inputs: str) -> Fraction:
    """The relative tolerance of a printed figure: half its last digit, and what its inputs' digits add."""
    decimals = len(printed.partition(".")[2])
    return Fraction(1, 2 * 10**decimals) / Fraction(printed) + Fraction(inputs)


def unexplained(rows: Sequence[Check]) -> list[Check]:
    """The checks whose verdict is not the known one: an empty list, or a fault of the portal."""
    return [row for row in rows if row.verdict != row.expected]
