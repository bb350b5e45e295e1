"""What a provider of hourly carbon intensity answers, how it is asked, and how answers become a dataset.

[1] GHG Protocol Scope 2 Guidance (2015), p. 55: marginal factors have no place in an inventory.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlencode

from apps.core.units import UG_PER_KWH_PER_KG_PER_MWH, round_half_up
from apps.core.windows import epoch_hour
from apps.factors.formats.table import HourlyTable, facts_of

TIMEOUT_S = 10
MOST_ANSWER_BYTES = 16 * 1024 * 1024
AVERAGE, MARGINAL = "average", "marginal"


class ProviderError(ValueError):
    """A provider could not be asked or answered something unusable; the text says what to do."""


@dataclass(frozen=True, slots=True)
class IntensityInterval:
    """Carbon intensity of a zone during ``[start, end)``, as a provider gave it at one moment: providers revise."""

    start: datetime
    end: datetime
    g_per_kwh: Decimal
    kind: str  # average or marginal
    basis: str  # direct or life_cycle
    perimeter: str  # generation or consumption
    estimated: bool
    provider: str
    retrieved_at: datetime
    raw_hash: str  # SHA-256 of the answer that it was read from


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected request would carry the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


class Provider(ABC):
    """One provider. ``key`` lives as long as the object and is stored nowhere."""

    name: ClassVar[str]
    label: ClassVar[str]
    base_url: ClassVar[str]
    licence: ClassVar[str]
    source_url: ClassVar[str]
    needs_key: ClassVar[bool]
    most_per_call: ClassVar[timedelta]  # the longest range that one call may cover

    def __init__(self, key: str = "") -> None:
        """Raises ``ProviderError`` when the provider wants a key and none is given."""
        if self.needs_key and not key:
            raise ProviderError(f"{self.label} answers only with a key: give yours.")
        self._key = key

    @abstractmethod
    def intensity(self, zone: str, start: datetime, end: datetime) -> list[IntensityInterval]:
        """The average intensity of a zone over ``[start, end)`` in order; intervals the provider lacks are absent.

        Raises ``ProviderError``.
        """

    def parts(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The range in pieces that one call may cover."""
        while start < end:
            until = min(start + self.most_per_call, end)
            yield start, until
            start = until

    def get(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[Any, str, datetime]:
        """A JSON answer, the SHA-256 of its bytes and when it came. Raises ``ProviderError`` that names no key."""
        url = f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, headers={"Accept": "application/json", **headers})  # noqa: S310 fixed base
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                body = answer.read(MOST_ANSWER_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise ProviderError(self._refusal(error)) from None
        except TimeoutError:
            raise ProviderError(f"{self.label} did not answer within {TIMEOUT_S} s. Try again later.") from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ProviderError(f"{self.label} cannot be reached from this machine: {reason}.") from None
        if len(body) > MOST_ANSWER_BYTES:
            raise ProviderError(f"{self.label} answered more than {MOST_ANSWER_BYTES // 2**20} MiB. Ask for less time.")
        try:
            return json.loads(body, parse_float=Decimal), hashlib.sha256(body).hexdigest(), datetime.now(UTC)
        except ValueError:
            raise ProviderError(f"{self.label} answered something that is not JSON. Try again later.") from None

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        if error.code in (401, 403):
            return f"{self.label} refused the key ({error.code}). Check it, and that it covers this zone and time."
        if error.code == 404:
            return f"{self.label} knows no such zone or time (404). Check the zone's name at the provider."
        if error.code == 429:
            wait = error.headers.get("Retry-After", "")
            again = f" in {wait} s" if wait.isdigit() else " later"
            return f"{self.label}'s limit of requests is reached (429). Try again{again}, or ask for less time."
        if error.code >= 500:
            return f"{self.label} has a fault of its own ({error.code}). Try again later."
        return f"{self.label} refused the request ({error.code}). Check zone and time."

    def unusable(self, what: str) -> ProviderError:
        return ProviderError(f"{self.label} answered in a form this release does not know: {what}.")


def moment_of(text: Any) -> datetime | None:
    """An RFC 3339 time in UTC; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)


def hourly_table(
    provider: type[Provider], intervals: Sequence[IntensityInterval], *, zone: str, provider_zone: str
) -> HourlyTable:
    """Intervals as a dataset of kind *hourly* for our grid zone ``zone``: whole hours, shorter ones averaged by time.

    An hour that the intervals do not cover whole is left out, not guessed. Raises ``ProviderError`` for marginal
    intensities [1], for intervals of mixed basis, and when no whole hour is covered.
    """
    if any(interval.kind != AVERAGE for interval in intervals):
        raise ProviderError(
            "These are marginal intensities. An inventory takes average ones (Scope 2 Guidance, p. 55)."
        )
    bases = {(interval.basis, interval.perimeter) for interval in intervals}
    if len(bases) > 1:
        raise ProviderError(f"{provider.label} mixed direct and life-cycle values. Ask for a shorter time.")
    hours = dict(_hours(intervals))
    if not hours:
        raise ProviderError(f"{provider.label} has no whole hour for {provider_zone} in this time.")
    ((basis, perimeter),) = bases
    retrieved = max(interval.retrieved_at for interval in intervals)
    answers = hashlib.sha256("".join(dict.fromkeys(one.raw_hash for one in intervals)).encode()).hexdigest()
    first, last = min(intervals, key=lambda one: one.start).start, max(intervals, key=lambda one: one.end).end
    facts = facts_of(
        {
            "slug": f"{provider.name}-{zone.lower()}".replace("_", "-"),
            "edition": f"{first:%Y-%m-%d}_{last:%Y-%m-%d} {retrieved:%Y%m%dT%H%M%SZ}",
            "kind": "hourly",
            "publisher": provider.label,
            "title": f"Hourly carbon intensity of {provider_zone}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
            "boundary": basis,
            "perimeter": perimeter,
            "basis": f"average intensity, {perimeter}",
            "source_url": provider.source_url,
            "licence": provider.licence,
            "retrieved_via": f"{provider.name} at {retrieved:%Y-%m-%dT%H:%M:%SZ}; SHA-256 of the answers {answers}",
        },
        {},
    )
    table = HourlyTable(facts)
    for row, (hour, (g_per_kwh, estimated)) in enumerate(sorted(hours.items()), 1):
        table.add(row, zone, hour, round_half_up(g_per_kwh * UG_PER_KWH_PER_KG_PER_MWH), estimated)
    return table


def _hours(intervals: Iterable[IntensityInterval]) -> Iterator[tuple[int, tuple[Decimal, bool]]]:
    """Hours that are covered whole, with the mean of their intervals by time [g/kWh]."""
    parts: dict[int, dict[datetime, IntensityInterval]] = {}
    for interval in intervals:
        if interval.end - interval.start > timedelta(hours=1):
            raise ProviderError(f"{interval.provider} answered intervals longer than an hour.")
        parts.setdefault(epoch_hour(interval.start), {})[interval.start] = interval
    for hour, of_hour in parts.items():
        seconds = [Decimal((one.end - one.start).total_seconds()) for one in of_hour.values()]
        if sum(seconds) == 3600:
            mean = sum((s * one.g_per_kwh for s, one in zip(seconds, of_hour.values(), strict=True)), Decimal(0)) / 3600
            yield hour, (mean, any(one.estimated for one in of_hour.values()))
