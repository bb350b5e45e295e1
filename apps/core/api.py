"""What every list of the API shares: reading the query string, cursor pages, numbers, CSV.

A bad query parameter is answered ``400`` with ``{"pointer": "/query/NAME", "got": ..., "expected": ...}``. A list is
``{"results": [...], "next": URL or null}``; the cursor holds the key of the last row shown and not a position, so
that rows which arrive meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from apps.core.problems import Problem
from apps.core.units import MG_PER_KG, MILLIWATT_HOURS_PER_KWH
from apps.core.windows import Window, midnight

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

Row = TypeVar("Row", bound=models.Model)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})")


# --- The query string ---------------------------------------------------------------------------------------------


def bad_parameter(name: str, got: Any, expected: str) -> Problem:
    """The error to raise for one query parameter."""
    return Problem(
        400,
        "The query is not valid",
        f"Parameter `{name}`: got {got!r}, expected {expected}.",
        errors=[{"pointer": f"/query/{name}", "got": got, "expected": expected}],
    )


def refuse_unknown(request: Request, known: Collection[str]) -> None:
    """Raise ``Problem(400)`` for parameters nobody reads: a misspelt filter would otherwise give another figure.

    ``limit``, ``cursor`` and ``format`` are always known.
    """
    allowed = {*known, "limit", "cursor", "format"}
    expected = f"one of {', '.join(sorted(allowed))}"
    errors = [
        {"pointer": f"/query/{name}", "got": name, "expected": expected}
        for name in request.query_params
        if name not in allowed
    ]
    if errors:
        raise Problem(400, "The query has parameters that are not known", errors=errors)


def parse_list(request: Request, name: str, choices: Collection[str] | None = None) -> tuple[str, ...]:
    """The values of ``name``, given as ``a,b`` or repeated, each once and in order; empty when absent.

    ``name=`` (the empty text) is the value ``""``, which filters on *unassigned*. Raises ``Problem(400)`` for a value
    outside ``choices``.
    """
    values = [part.strip() for text in request.query_params.getlist(name) for part in text.split(",")]
    for value in values:
        if choices is not None and value not in choices:
            known = ", ".join(choice for choice in choices if choice)
            raise bad_parameter(name, value, f"one of {known}{', or empty' if '' in choices else ''}")
    return tuple(dict.fromkeys(values))


def parse_choice(request: Request, name: str, choices: Collection[str], default: str) -> str:
    """One of ``choices``. Raises ``Problem(400)`` for anything else."""
    value = request.query_params.get(name, default)
    if value not in choices:
        raise bad_parameter(name, value, f"one of {', '.join(choices)}")
    return value


def parse_flag(request: Request, name: str) -> bool:
    """``true``/``1`` or ``false``/``0``; absent is false. Raises ``Problem(400)`` for anything else."""
    value = request.query_params.get(name, "false").lower()
    if value not in {"true", "1", "false", "0"}:
        raise bad_parameter(name, value, "true or false")
    return value in {"true", "1"}


def parse_int(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number between ``least`` and ``most``. Raises ``Problem(400)`` for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII) or not least <= int(text) <= most:
        raise bad_parameter(name, text, f"a whole number from {least} to {most}")
    return int(text)


def parse_moment(text: str) -> datetime | None:
    """A date (its 00:00 UTC) or an RFC 3339 time with offset, in UTC; ``None`` when it is neither."""
    text = text.strip().replace(" ", "+")  # an unquoted + of an offset arrives as a space
    try:
        if _DATE.fullmatch(text):
            return midnight(date.fromisoformat(text))
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None


def parse_window(request: Request, default: Window | None = None) -> Window:
    """``from`` and ``to``, half-open. Raises ``Problem(400)`` when one is missing (without a default), bad or late."""
    expected = "a date such as 2026-07-01 or an RFC 3339 time with offset such as 2026-07-01T00:00:00Z"
    moments: dict[str, datetime] = {}
    for name in ("from", "to"):
        text = request.query_params.get(name)
        if text is None:
            if default is None:
                raise bad_parameter(name, None, expected)
            moments[name] = default.start if name == "from" else default.end
            continue
        moment = parse_moment(text)
        if moment is None:
            raise bad_parameter(name, text, expected)
        moments[name] = moment
    if moments["to"] <= moments["from"]:
        raise bad_parameter("to", request.query_params.get("to"), "a time after `from`")
    return Window(moments["from"], moments["to"])


# --- Cursor pages -------------------------------------------------------------------------------------------------


def encode_cursor(key: Sequence[Any]) -> str:
    text = json.dumps(list(key), separators=(",", ":"), cls=DjangoJSONEncoder)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(request: Request, length: int) -> list[Any] | None:
    """The key after which the page starts; ``None`` on the first page. Raises ``Problem(400)`` for a made-up one."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        key = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        key = None
    if not isinstance(key, list) or len(key) != length or any(isinstance(part, dict | list) for part in key):
        raise bad_parameter("cursor", text, "the cursor of a `next` link, unchanged")
    return key


def page_limit(request: Request) -> int:
    return parse_int(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)


def list_answer(request: Request, results: list[Any], next_key: Sequence[Any] | None) -> dict[str, Any]:
    """The body of a list; ``next`` repeats this request's query with the cursor of the following page."""
    following = None
    if next_key is not None:
        query = [(name, value) for name, values in request.query_params.lists() for value in values if name != "cursor"]
        query.append(("cursor", encode_cursor(next_key)))
        following = f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
    return {"results": results, "next": following}


def _after(fields: Sequence[tuple[str, bool]], key: Sequence[Any]) -> Q:
    """Rows behind ``key`` in an order by ``(field, descending)``: (a > x) or (a = x and b > y) or ..."""
    condition = Q()
    for position, (name, descending) in enumerate(fields):
        equal = {fields[i][0]: key[i] for i in range(position)}
        condition |= Q(**equal, **{f"{name}__{'lt' if descending else 'gt'}": key[position]})
    return condition


def keyset_page(
    request: Request,
    rows: models.QuerySet[Row],
    order: Sequence[str],
    render: Callable[[Row], Any],
) -> dict[str, Any]:
    """One page of a queryset as the body of a list.

    ``order`` names concrete, never empty fields of the model (``-name`` for descending) that together are unique;
    ``render`` turns a row into JSON values. Raises ``Problem(400)`` for a bad ``limit`` or ``cursor``.
    """
    fields = [(name.lstrip("-"), name.startswith("-")) for name in order]
    limit = page_limit(request)
    key = decode_cursor(request, len(fields))
    if key is not None:
        try:
            typed = [_field(rows.model, name).to_python(part) for (name, _), part in zip(fields, key, strict=True)]
        except (ValidationError, FieldDoesNotExist, ValueError, TypeError, OverflowError):
            typed = [None]
        if any(part is None for part in typed):
            raise bad_parameter("cursor", request.query_params["cursor"], "the cursor of a `next` link, unchanged")
        rows = rows.filter(_after(fields, typed))
    page = list(rows.order_by(*order)[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    next_key = [getattr(page[-1], _field(rows.model, name).attname) for name, _ in fields] if more else None
    return list_answer(request, [render(row) for row in page], next_key)


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def rows_page(request: Request, rows: Iterable[Mapping[str, Any]], key: Sequence[str]) -> dict[str, Any]:
    """One page of rows that are already in memory (a grouped ledger), in the order of the columns of ``key``.

    The columns hold texts or numbers and together are unique; ``None`` (*unassigned*) comes last.
    """
    limit = page_limit(request)

    def place(values: Sequence[Any]) -> list[tuple[bool, Any]]:
        return [(value is None, 0 if value is None else value) for value in values]

    ordered = sorted(rows, key=lambda row: place([row[name] for name in key]))
    after = decode_cursor(request, len(key))
    if after is not None:
        try:
            ordered = [row for row in ordered if place([row[name] for name in key]) > place(after)]
        except TypeError:
            raise bad_parameter(
                "cursor", request.query_params["cursor"], "the cursor of a `next` link, unchanged"
            ) from None
    page = ordered[:limit]
    next_key = [page[-1][name] for name in key] if len(ordered) > limit else None
    return list_answer(request, [dict(row) for row in page], next_key)


LIST_PARAMETERS = [
    OpenApiParameter("limit", int, description=f"rows a page, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} unless told"),
    OpenApiParameter("cursor", str, description="where the page starts: taken from a `next` link"),
]


def list_schema(row: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """How the OpenAPI document describes a list of rows."""
    return inline_serializer(
        f"{row.__name__.removesuffix('Serializer')}List",
        {"results": row(many=True), "next": serializers.URLField(allow_null=True)},
    )


# --- Numbers and CSV ----------------------------------------------------------------------------------------------


def kwh(milliwatt_hours: int | None) -> float | None:
    """Kilowatt-hours of a number of milliwatt-hours: six decimals hold it exactly. ``None`` stays ``None``."""
    return None if milliwatt_hours is None else milliwatt_hours / MILLIWATT_HOURS_PER_KWH


def kg(milligrams: int | None) -> float | None:
    """Kilograms of a number of milligrams: six decimals hold it exactly. ``None`` stays ``None``."""
    return None if milligrams is None else milligrams / MG_PER_KG


class AnyAccept(DefaultContentNegotiation):
    """For files, which have one type whatever is accepted; only an error goes through the renderer."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class CsvRenderer(BaseRenderer):
    """``Accept: text/csv`` (or ``?format=csv``) on a list: its results as rows, the columns of the first row as head.

    Goes into ``renderer_classes`` behind ``JSONRenderer``. The view names the columns of a list without rows in
    ``csv_columns``: a file without its head cannot be told from a broken one. The link to the next page is in the
    JSON answer only, so an answer in CSV should be asked for with a large enough ``limit``.
    """

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        if not isinstance(data, Mapping) or "results" not in data:  # a problem document
            return json.dumps(data, cls=DjangoJSONEncoder)
        view = (renderer_context or {}).get("view")
        return csv_text(data["results"], getattr(view, "csv_columns", ()))


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows as CSV with a header, ``columns`` where there are none; absent is an empty cell, a nested value its JSON."""
    head = list(rows[0]) if rows else list(columns)
    if not head:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            json.dumps(cell, cls=DjangoJSONEncoder) if isinstance(cell, dict | list) else cell for cell in row.values()
        )
    return out.getvalue()
