"""Slurm's accounting: ``sacct -P`` or ``sacct --json``. Joules of jobs; right only where a job has its nodes alone."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

from apps.core.units import PPM
from apps.telemetry.batch import Place
from apps.telemetry.meters.batch import FILE_TRACKER
from apps.telemetry.uploads.formats.base import (
    MOST_JOULES,
    Batches,
    FileRefusedError,
    Found,
    Given,
    Interval,
    blocks,
    microwatt_hours,
    moment_ms,
    number,
    sample_batches,
)

_SUFFIXES = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SINGLE_NODE = re.compile(r"[\w.-]+")
_ENERGY = ("consumedenergyraw", "consumedenergy")


def recognises(header: list[str]) -> bool:
    names = {name.casefold() for name in header}
    return bool(names & {"jobidraw", "jobid"}) and bool(names & set(_ENERGY))


def recognises_text(text: str) -> bool:
    return text.lstrip().startswith("{") and '"jobs"' in text


def read(text: str, given: Given, found: Found) -> Batches:
    """One interval per job: the job's own joules, else the sum of its steps'. 0 J means that no plugin counted."""
    rows = _of_json(text) if text.lstrip().startswith("{") else _of_csv(text, found)
    jobs: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for line, values in rows:
        identity = values.get("jobidraw") or values.get("jobid") or ""
        if not identity:
            found.fault(line, "JobIDRaw", "", "the id of a job")
            continue
        jobs[identity.split(".")[0]].append((line, values))
    found.notes.append("Slurm's energy is that of whole nodes: right only for jobs that had their nodes alone.")
    intervals = [made for job, parts in jobs.items() if (made := _job(job, parts, given, found))]
    yield from sample_batches(intervals, given, found)


def _of_csv(text: str, found: Found) -> list[tuple[int, dict[str, str]]]:
    rows: list[tuple[int, dict[str, str]]] = []
    for block in blocks(text, found):
        names = {name.casefold() for name in block.header}
        if missing := [name for name in ("Start", "End") if name.casefold() not in names]:
            raise FileRefusedError(f"The output of sacct has no column {', '.join(missing)}; add it to --format.")
        rows += block.rows()
    return rows


def _of_json(text: str) -> list[tuple[int, dict[str, str]]]:
    """Jobs of ``sacct --json`` as rows of ``sacct -P``; in place of the line stands the number of the job, from 1."""
    try:
        jobs = json.loads(text)["jobs"]
        return [(i + 1, row) for i, job in enumerate(jobs) for row in _rows_of(job)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise FileRefusedError(f"This is not the output of sacct --json: {fault}.") from None


def _rows_of(job: dict[str, Any]) -> list[dict[str, str]]:
    time = job.get("time") or {}
    allocated = (job.get("tres") or {}).get("allocated") or []
    common = {
        "jobidraw": str(job["job_id"]),
        "account": job.get("account") or "",
        "user": job.get("user") or (job.get("association") or {}).get("user") or "",
        "cluster": job.get("cluster") or "",
        "jobname": job.get("name") or "",
        "nodelist": job.get("nodes") or "",
        "start": _seconds(time.get("start")),
        "end": _seconds(time.get("end")),
        "exclusive": str(job.get("exclusive") or ""),
        "alloctres": ",".join(f"{one.get('type')}={one.get('count')}" for one in allocated),
    }
    rows = [common | {"consumedenergyraw": _energy_of(job)}]
    for i, step in enumerate(job.get("steps") or []):
        own = common | {"jobidraw": f"{common['jobidraw']}.{i}", "consumedenergyraw": _energy_of(step)}
        rows.append(own)
    return rows


def _seconds(value: Any) -> str:
    return str(value.get("number", "") if isinstance(value, dict) else value or "")


def _energy_of(part: dict[str, Any]) -> str:
    """The joules of a job or step: ``energy`` of the statistics, or the energy among the consumed resources."""
    energy = ((part.get("statistics") or {}).get("energy") or {}).get("consumed")
    if energy is not None:
        return _seconds(energy)
    consumed = ((part.get("tres") or {}).get("consumed")) or []
    total = consumed.get("total", []) if isinstance(consumed, dict) else consumed
    return next((str(one.get("count", "")) for one in total if one.get("type") == "energy"), "")


def _job(job: str, parts: list[tuple[int, dict[str, str]]], given: Given, found: Found) -> Interval | None:
    whole = [part for part in parts if "." not in (part[1].get("jobidraw") or part[1].get("jobid") or "")]
    line, values = (whole or parts)[0]
    joules = _joules(line, values, found) if whole else Decimal(0)
    if joules is None:
        return None
    steps = [part for part in parts if part not in whole]
    if joules:
        found.ignored += len(steps)  # their joules are in the job's
    else:
        of_steps = [value for step in steps if (value := _joules(*step, found)) is not None]
        joules = sum(of_steps, Decimal(0))
    if not joules:
        expected = "joules above 0; Slurm writes 0 where no energy plugin counts (AcctGatherEnergyType)"
        found.fault(
            line, "ConsumedEnergyRaw", values.get("consumedenergyraw") or values.get("consumedenergy"), expected
        )
        return None
    name = "start"
    try:
        start_ms = _time_ms(values["start"], given)
        name = "end"
        end_ms = _time_ms(values["end"], given)
    except ValueError as fault:
        expected = "a time such as 2026-07-01T09:30:00" if "isoformat" in str(fault) else str(fault)
        found.fault(line, name.title(), values[name], f"{expected}; a job that still runs cannot be taken in")
        return None
    return Interval(
        line,
        start_ms,
        end_ms,
        microwatt_hours(joules, "J", given.pue_ppm or PPM),
        *_whose(job, line, values, given, found),
    )


def _whose(job: str, line: int, values: dict[str, str], given: Given, found: Found) -> tuple[Any, str, Place]:
    nodes = values.get("nodelist", "")
    cluster = values.get("cluster") or given.source or "slurm"
    exclusive = values.get("exclusive", "").casefold() in ("1", "true", "exclusive", "yes")
    if not exclusive:
        found.warnings.append(
            f"Line {line}, job {job}: nothing says that it had {nodes or 'its nodes'} alone; if others ran there too,"
            " their energy is in this job's."
        ) if len(found.warnings) < 100 else None
    is_single = bool(_SINGLE_NODE.fullmatch(nodes)) and nodes.casefold() not in ("none", "unknown")
    place = Place(nodes, FILE_TRACKER) if is_single and exclusive else Place()
    naming = given.naming(
        f"{cluster}/{nodes or 'nodes unknown'}",
        team=values.get("account") or None,
        workload=values.get("jobname") or None,
        boundary="node",
        method="measured",
    )
    return naming, job, place


def _joules(line: int, values: dict[str, str], found: Found) -> Decimal | None:
    """Joules of a row; 0 where it says nothing, none where it says something absurd, which is an error."""
    for name in _ENERGY:
        text = values.get(name, "").strip()
        if not text:
            continue
        scale = _SUFFIXES.get(text[-1:].upper(), 1)
        try:
            joules = number(text[:-1] if scale > 1 else text) * scale
            if joules > MOST_JOULES:
                raise ValueError("joules that a job can have used; values near 2^64 are a counter that went wrong")
        except ValueError as fault:
            found.fault(line, name, text, str(fault))
            return None
        return joules
    return Decimal(0)


def _time_ms(text: str, given: Given) -> int:
    return int(text) * 1000 if text.isdigit() and len(text) > 8 else moment_ms(text, given)
