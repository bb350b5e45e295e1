"""Whole columns of a long file to numbers and times: what is not one becomes an error, and the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timezone, tzinfo

import numpy as np
import pandas as pd

from apps.telemetry.batch import BoolArray, Float64Array, Int64Array, RowError, shown
from apps.telemetry.uploads.formats.base import Found

NO_VALUE = ("", "n/a", "[n/a]", "[not supported]", "not supported", "[unknown error]", "nan", "-")
BACK_NS = 20 * 60 * 10**9  # a clock that goes back by so much has been set back
ANEW_NS = 2 * 3600 * 10**9  # by more: the rows of another device, or of another day


def numbers(texts: Sequence[str], name: str, line: Int64Array, found: Found) -> tuple[Float64Array, BoolArray]:
    """Values of 0 or more, and which rows have one. A unit behind the value is left out, "[N/A]" is counted."""
    column = pd.Series(texts, dtype=object)
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, copy=True)
    odd = np.isnan(values)
    if odd.any():
        bare = column[odd].str.strip()
        is_absent = bare.str.casefold().isin(NO_VALUE).to_numpy()
        found.ignored += int(is_absent.sum())
        again = pd.to_numeric(bare.str.replace(r"\s*[A-Za-z%]+$", "", regex=True), errors="coerce").to_numpy(np.float64)
        values[odd] = np.where(is_absent, np.nan, again)
        absent = np.zeros(len(values), np.bool_)
        absent[odd] = is_absent
    else:
        absent = np.zeros(len(values), np.bool_)
    good = np.isfinite(values) & (values >= 0)
    for i in np.flatnonzero(~good & ~absent).tolist():
        found.errors.append(RowError(int(line[i]), name, shown(texts[i]), "a number of 0 or more"))
    return values, good


class Clock:
    """Local times of a file in its order, so that the hour that a clock shows twice is read in the right order."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._before_ns: int | None = None
        self._was_set_back = False

    def milliseconds(
        self, texts: Sequence[str], name: str, line: Int64Array, found: Found
    ) -> tuple[Int64Array, BoolArray]:
        """Milliseconds since the epoch, and which rows have a time. Numbers are seconds or milliseconds since then."""
        column = pd.Series(texts, dtype=object)
        seconds = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        if len(seconds) and np.isfinite(seconds).any():
            good = np.isfinite(seconds) & (seconds >= 0) & (seconds < 1e14)
            scaled = np.where(seconds < 1e11, seconds * 1000, seconds)
            result = np.where(good, np.rint(np.where(good, scaled, 0)), 0).astype(np.int64)
        else:
            result, good = self._of_texts(column)
        for i in np.flatnonzero(~good).tolist():
            expected = "a time such as 2026-07-01 09:30:00 that exists in the time zone of the file"
            found.errors.append(RowError(int(line[i]), name, shown(texts[i]), expected))
        return result, good

    def _of_texts(self, column: pd.Series[str]) -> tuple[Int64Array, BoolArray]:
        text = column.str.strip().str.replace("/", "-", regex=False)
        if text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True).any():
            moments = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
        else:
            local = pd.to_datetime(text, errors="coerce", format="ISO8601").astype("datetime64[ns]")
            if self.zone is UTC or isinstance(self.zone, timezone):
                moments = local.dt.tz_localize(self.zone)
            else:
                is_first = self._is_first_pass(local)
                moments = local.dt.tz_localize(self.zone, ambiguous=is_first, nonexistent="NaT")
        good = moments.notna().to_numpy()
        naive = moments.dt.tz_convert(None).astype("datetime64[ns]").to_numpy()
        return np.where(good, naive.astype(np.int64) // 10**6, 0), good

    def _is_first_pass(self, local: pd.Series[pd.Timestamp]) -> BoolArray:
        """Whether the clock was not set back before; rows of another device that start anew set nothing back."""
        ns = local.to_numpy().astype(np.int64)
        missing = local.isna().to_numpy()
        if missing.any():
            ns = pd.Series(np.where(missing, np.nan, ns)).ffill().fillna(0).to_numpy().astype(np.int64)
        if not len(ns):
            return np.ones(0, np.bool_)
        step = np.diff(ns, prepend=ns[0] if self._before_ns is None else self._before_ns)
        is_back = (step <= -BACK_NS) & (step >= -ANEW_NS)
        is_event = is_back | (np.abs(step) > ANEW_NS)
        latest_event = np.maximum.accumulate(np.where(is_event, np.arange(len(ns)), -1))
        was_set_back = np.where(latest_event >= 0, is_back[np.maximum(latest_event, 0)], self._was_set_back)
        self._before_ns, self._was_set_back = int(ns[-1]), bool(was_set_back[-1])
        return np.asarray(~was_set_back, np.bool_)
