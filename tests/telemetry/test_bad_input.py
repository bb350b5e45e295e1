"""What bad input gets: the field, what stood there, how to mend it; and nothing else in the batch is lost."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from apps.organisations.models import Organisation, Person, Role
from apps.telemetry import intake
from apps.telemetry.models import Reading, Receipt
from tests.telemetry.conftest import Post, row

pytestmark = pytest.mark.django_db


def at_once(bad: dict[str, Any]) -> dict[str, Any]:
    """The row with times that are told from now put in: the suite may come to a test long after it read the file."""
    now = datetime.now(UTC)
    return {name: (now + said).isoformat() if isinstance(said, timedelta) else said for name, said in bad.items()}


def in_minutes(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


NAN, INFINITY = float("nan"), float("inf")
BAD_ROWS: list[tuple[str, dict[str, Any], str, Any, str]] = [
    ("end before start", row(end="2026-07-01T08:59:00Z"), "end", "2026-07-01T08:59:00Z", "after start"),
    ("end at start", row(end="2026-07-01T09:00:00Z"), "end", "2026-07-01T09:00:00Z", "after start"),
    ("below a millisecond", row(end="2026-07-01T09:00:00.0004Z"), "end", "2026-07-01T09:00:00Z", "one millisecond"),
    ("too long", row(end="2026-08-01T09:00:01Z"), "end", "2026-08-01T09:00:01Z", "31 days"),
    ("before 1970", row(start="1969-12-31T23:59:59Z", end="1970-01-01T00:00:00Z"), "start", ..., "1970"),
    ("end in the future", row(start=in_minutes(-5), end=in_minutes(12)), "end", ..., "10 minutes in the future"),
    ("all in the future", row(start=in_minutes(30), end=in_minutes(40)), "start", ..., "10 minutes in the future"),
    ("no offset", row(start="2026-07-01T09:00:00"), "start", "2026-07-01T09:00:00", "UTC offset"),
    ("no time", row(start="yesterday"), "start", "yesterday", "RFC 3339"),
    ("a number for a time", row(start=1_782_896_400), "start", 1_782_896_400, "RFC 3339"),
    ("the 31st of June", row(start="2026-06-31T00:00:00Z"), "start", "2026-06-31T00:00:00Z", "RFC 3339"),
    ("negative energy", row(energy_wh=-0.5), "energy_wh", -0.5, "0 or more"),
    ("negative power", row(energy_wh=..., power_w=-1), "power_w", -1, "0 or more"),
    ("NaN", row(energy_wh=NAN), "energy_wh", "NaN", "finite"),
    ("Infinity", row(energy_wh=INFINITY), "energy_wh", "Infinity", "finite"),
    ("minus Infinity", row(energy_wh=..., power_w=-INFINITY), "power_w", "-Infinity", "finite"),
    ("energy and power", row(power_w=3), "power_w", 3, "not both"),
    ("neither energy nor power", row(energy_wh=...), "energy_wh", None, "power_w"),
    ("null energy", row(energy_wh=None), "energy_wh", None, "power_w"),
    ("absurd power", row(energy_wh=..., power_w=2e8), "power_w", 2e8, "100 MW"),
    ("absurd energy", row(energy_wh=6e7), "energy_wh", 6e7, "100 MW"),
    ("quoted energy", row(energy_wh="12.5"), "energy_wh", "12.5", "without quotation marks"),
    ("true for energy", row(energy_wh=True), "energy_wh", True, "number"),
    ("no source", row(source=...), "source", None, "required"),
    ("null source", row(source=None), "source", None, "required"),
    ("empty source", row(source=""), "source", "", "1 to 200"),
    ("long source", row(source="x" * 201), "source", "x" * 79 + "…", "1 to 200"),
    ("a number for a source", row(source=7), "source", 7, "text"),
    ("blank source", row(source=" \t"), "source", " \t", "visible character"),
    ("blank team", row(team="\u00a0"), "team", "\u00a0", "visible character"),
    ("invisible model", row(model="\u200b"), "model", "\u200b", "visible character"),
    ("blank workload in a share", row(shares=[{"workload": " "}]), "shares[0].workload", " ", "visible character"),
    ("energy of 401 digits", row(energy_wh=10**400), "energy_wh", "1" + "0" * 78 + "…", "finite"),
    ("accelerators of 401 digits", row(accelerators=10**400), "accelerators", ..., "from 1 to 1000000"),
    ("tokens of 401 digits", row(work={"tokens": 10**400}), "work.tokens", ..., "from 0 to 1000000000000000"),
    ("weight of 401 digits", row(shares=[{"weight": 10**400}]), "shares[0].weight", ..., "finite"),
    ("an unknown field of 401 digits", row(colour=-(10**400)), "colour", "-1" + "0" * 77 + "…", "documented"),
    ("deep tags", row(tags={"a": json.loads("[" * 40 + "]" * 40)}), "tags", ..., "32 levels"),
    ("NUL in an unknown field", row(**{"a\0": "b\0"}), "a␀", "b␀", "documented"),
    ("NUL in a kind", row(kind="idle\0"), "kind", "idle␀", "one of"),
    ("NUL in a name", row(model="a\0b"), "model", "a␀b", "NUL"),
    ("half a surrogate", row(model="a\ud800"), "model", "a?", "surrogate"),
    ("unknown site", row(site="nowhere"), "site", "nowhere", "fra1"),
    ("unknown hardware", row(hardware="abacus"), "hardware", "abacus", "hardware profile"),
    ("bad kind", row(kind="trainig"), "kind", "trainig", "fine_tuning"),
    ("bad boundary", row(boundary="rack"), "boundary", "rack", "facility"),
    ("bad method", row(method="guessed"), "method", "guessed", "estimated"),
    ("no accelerators", row(accelerators=0), "accelerators", 0, "1"),
    ("half an accelerator", row(accelerators=1.5), "accelerators", 1.5, "whole"),
    ("negative tokens", row(work={"tokens": -1}), "work.tokens", -1, "0"),
    ("half a token", row(work={"tokens": 1.5}), "work.tokens", 1.5, "whole"),
    ("too many tokens", row(work={"tokens": 10**16}), "work.tokens", 10**16, "from 0 to 1000000000000000"),
    ("NaN epochs", row(work={"epochs": NAN}), "work.epochs", "NaN", "finite"),
    ("unknown work", row(work={"token": 1}), "work.token", 1, "work.tokens"),
    ("work is no object", row(work=3), "work", 3, "object"),
    ("negative weight", row(shares=[{"weight": -1}, {"weight": 2}]), "shares[0].weight", -1, "0 or more"),
    ("no weight at all", row(shares=[{"weight": 0}]), "shares", '[{"weight": 0}]', "more than 0"),
    ("no shares", row(shares=[]), "shares", "[]", "1 to 1000"),
    ("unknown in a share", row(shares=[{"wieght": 1}]), "shares[0].wieght", 1, "weight"),
    ("unknown field", row(energy_kwh=1), "energy_kwh", 1, "one of the documented fields"),
    ("tags are no object", row(tags=["a"]), "tags", '["a"]', "object"),
    ("NUL in tags", row(tags={"a": "\0"}), "tags", ..., "NUL"),
    ("large tags", row(tags={"a": "x" * 9000}), "tags", ..., "8,192"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "field", "got", "expected"), [case[1:] for case in BAD_ROWS], ids=[c[0] for c in BAD_ROWS]
)
def test_a_bad_row_is_named_and_the_others_are_kept(
    post: Post, site: object, bad: dict[str, Any], field: str, got: Any, expected: str
) -> None:
    answer = post([row(source="before"), at_once(bad), row(source="after")])
    assert answer.status_code == 200
    said = answer.json()
    assert (said["accepted"], said["rejected"]) == (2, 1)
    error = said["errors"][0]
    assert (error["index"], error["field"]) == (1, field)
    assert got is ... or error["got"] == got
    assert expected in error["expected"]
    assert sorted(Reading.objects.values_list("source__name", flat=True)) == ["after", "before"]


def test_every_fault_of_a_row_is_named(post: Post) -> None:
    errors = post([row(), row(energy_wh=-1, kind="x", colour="red", start=None)]).json()["errors"]
    assert {error["field"] for error in errors} == {"energy_wh", "kind", "colour", "start"}


RAW = {
    "energy of 5,000 digits": (b'{"source": "bad", "energy_wh": ' + b"9" * 5_000 + b"}", "energy_wh"),
    "tags of 5,000 digits": (json.dumps(row()).encode()[:-1] + b', "tags": {"a": ' + b"9" * 5_000 + b"}}", "tags"),
    "infinite by its exponent": (json.dumps(row()).replace("12.5", "1e999").encode(), "energy_wh"),
    "nested 20,000 deep": (b'{"tags": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}", ""),
    "70,000 bytes": (json.dumps(row(tags={"a": "x" * 70_000})).encode(), ""),
}


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("name", RAW)
def test_a_row_that_python_cannot_hold_is_an_error_of_its_row(post: Post, name: str, media: str) -> None:
    bad, field = RAW[name]
    rows = [json.dumps(row(source="before")).encode(), bad, json.dumps(row(source="after")).encode()]
    body = b"[" + b",".join(rows) + b"]" if media == "application/json" else b"\n".join(rows)
    answer = post(body, media=media).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert (answer["errors"][0]["index"], field in {one["field"] for one in answer["errors"]}) == (1, True)


def test_a_line_that_is_not_utf_8_is_an_error_of_its_row(post: Post) -> None:
    lines = [json.dumps(row(source="a")).encode(), '{"source": "Öl"}'.encode("latin-1"), json.dumps(row()).encode()]
    answer = post(b"\n".join(lines), media="application/x-ndjson").json()
    assert (answer["accepted"], answer["errors"][0]["index"]) == (2, 1)
    assert "UTF-8" in answer["errors"][0]["expected"]


CSV_BAD_ROWS = {
    "underscore": ("bad,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1_000,", "energy_wh", "1_000"),
    "foreign digits": ("bad,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,١٢,", "energy_wh", "١٢"),
    "NaN": ("bad,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,NaN,", "energy_wh", "NaN"),
    "400 digits": (f"bad,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,{'9' * 400},", "energy_wh", "9" * 79 + "…"),
    "5,000 digits": (f"bad,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1,{'9' * 5_000}", "tokens", "9" * 79 + "…"),
    "200,000 characters": (f"{'x' * 200_000},2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1,", "", ...),
    "bad quote": ('"bad"x,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1,', "", ...),
    "latin-1": ("b\udcf6se,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1,", "", ...),
}


@pytest.mark.parametrize("name", CSV_BAD_ROWS)
def test_a_bad_row_of_csv_is_named_and_the_others_are_kept(post: Post, name: str) -> None:
    bad, field, got = CSV_BAD_ROWS[name]
    good = [f"{source},2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,+1.5e0,7" for source in ("before", "after")]
    body = "\r\n".join(["source,start,end,energy_wh,tokens", good[0], bad, good[1]])
    answer = post(body.encode("utf-8", "surrogateescape"), media="text/csv").json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    error = answer["errors"][0]
    assert (error["index"], error["field"].removeprefix("work.")) == (1, field)
    assert got is ... or error["got"] == got
    assert set(Reading.objects.values_list("energy_microwatt_hours", "tokens")) == {(1_500_000, 7)}


def test_a_bad_quote_that_swallows_lines_is_400(post: Post) -> None:
    line = "a,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1\n"
    body = 'source,start,end,energy_wh\n"a,2026-07-01T09:00:00Z\n' + line + '"a"x,' + line
    assert "line" in problem(post(body.encode(), media="text/csv"), 400)


def test_a_body_without_samples_is_400_in_every_form(post: Post) -> None:
    for body, media in (
        (b"[]", "application/json"),
        (b' {"samples": [ ]} ', "application/json"),
        (b"\n \n", "application/x-ndjson"),
        (b"source,start,end,energy_wh\n", "text/csv"),
    ):
        assert "at least one" in problem(post(body, media=media), 400)


def test_an_unknown_member_beside_samples_is_named(post: Post) -> None:
    assert "'other'" in problem(post({"samples": [row()], "other": 1}), 400)
    assert "'rows'" in problem(post({"rows": [row()]}), 400)


@pytest.mark.parametrize("bad", [7, None, "text", [1], {}])
def test_a_row_that_is_no_reading(post: Post, bad: object) -> None:
    answer = post([bad, row()]).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)


def test_no_valid_row_is_422_with_errors_and_a_receipt(post: Post) -> None:
    answer = post([row(energy_wh=-1)])
    said = answer.json()
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert (said["status"], said["rejected"], said["errors"][0]["pointer"]) == (422, 1, "/0/energy_wh")
    assert Receipt.unscoped.get(public_id=said["receipt"]).errors[0]["field"] == "energy_wh"


def test_many_errors_are_counted_beyond_a_thousand(post: Post) -> None:
    said = post([row(energy_wh=-1)] * 1_200).json()
    assert (said["rejected"], len(said["errors"]), said["errors_not_shown"]) == (1_200, 1_000, 200)


# --- Bodies that cannot be taken -----------------------------------------------------------------------------------


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert not Reading.objects.exists()
    return str(answer.json()["detail"])


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"[", b"[1,", b"[}", b"{}", b'{"rows": []}', b'{"samples": [], "more": 1}', b"[] []", b"[" * 50_000,
     b"7", json.dumps([row()]).encode()[:-3], json.dumps([row()]).encode("utf-16"), b'[{"source": "\xff"}]'],
)  # fmt: skip
def test_a_body_that_is_no_json_is_400(post: Post, body: bytes) -> None:
    problem(post(body), 400)


def test_csv_without_its_header_is_400(post: Post) -> None:
    assert "header" in problem(post(b"a,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1\n", media="text/csv"), 400)
    assert "twice" in problem(post(b"source,start,end,end\n", media="text/csv"), 400)
    assert "line" in problem(post(b'source,start,end\n"a', media="text/csv"), 400)


@pytest.mark.parametrize(
    "media", ["application/xml", "", "application/json; charset=utf-16", "text/csv; charset=latin-1"]
)
def test_another_type_is_415(post: Post, media: str) -> None:
    problem(post([row()], media=media), 415)


def test_another_encoding_is_415(post: Post) -> None:
    answer = post(zlib.compress(json.dumps([row()]).encode()), Content_Encoding="deflate")
    problem(answer, 415)
    assert answer["Accept-Encoding"] == "gzip"


def test_damaged_gzip_is_400(post: Post) -> None:
    packed = gzip.compress(json.dumps([row()]).encode())
    assert "cut off" in problem(post(packed[:-9], Content_Encoding="gzip"), 400)
    problem(post(json.dumps([row()]).encode(), Content_Encoding="gzip"), 400)
    problem(post(packed + b"more", Content_Encoding="gzip"), 400)
    broken = bytearray(packed)
    broken[len(broken) // 2] ^= 0xFF
    problem(post(bytes(broken), Content_Encoding="gzip"), 400)


def test_a_gzip_bomb_is_413_before_it_is_unpacked(post: Post) -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        for _ in range(300):
            file.write(b" " * 1_000_000)
    assert "64 MiB" in problem(post(bomb.getvalue(), Content_Encoding="gzip"), 413)


def test_an_announced_80_mib_are_413_unread(client: Client, key: str) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("read")

    answer = client.generic(
        "POST", "/api/v1/samples", b"", content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
        **{"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(80 * 2**20), "wsgi.input": Unread()},
    )  # fmt: skip
    problem(answer, 413)


def test_50_001_rows_are_413(post: Post) -> None:
    one = json.dumps(row())
    assert "50,000" in problem(post(f"[{','.join([one] * 50_001)}]".encode()), 413)
    assert "50,000" in problem(post("\n".join(["{}"] * 50_001).encode(), media="application/x-ndjson"), 413)
    assert "50,000" in problem(post(f"[{','.join(['7'] * 50_001)}]".encode()), 413)


@pytest.mark.parametrize(
    ("status", "media", "body"),
    [
        (400, "application/json", b"[1,"),
        (413, "application/x-ndjson", b"{}\n" * 50_001),
        (415, "application/xml", b"<samples/>"),
    ],
)
def test_a_request_refused_as_a_whole_leaves_a_receipt_and_is_shown(
    post: Post, client: Client, make_person: Callable[..., Person], status: int, media: str, body: bytes
) -> None:
    detail = problem(post(body, media=media, Idempotency_Key="one"), status)
    receipt = Receipt.unscoped.get()
    assert (receipt.accepted, receipt.rejected, receipt.answer_status) == (0, 0, status)
    assert receipt.errors[0]["expected"] == detail
    client.force_login(make_person(Role.ENGINEER))
    connect = client.get(f"/o/acme/connect/{receipt.api_key_id}/status/").json()
    assert connect["state"] == "rejected"
    assert "refused as a whole" in connect["html"]
    assert escape(detail) in connect["html"]
    assert "the request</span>" in client.get("/o/acme/ingest/").content.decode()
    assert escape(detail) in client.get(f"/o/acme/ingest/{receipt.public_id}/").content.decode()
    assert post([row()], Idempotency_Key="one").status_code == 200


def test_a_refused_dry_run_leaves_no_receipt(post: Post) -> None:
    problem(post(b"[1,", "?dry_run=true"), 400)
    assert not Receipt.unscoped.exists()


def test_a_misspelt_parameter_is_400(post: Post) -> None:
    problem_answer = post([row()], "?dryrun=true")
    assert (problem_answer.status_code, Reading.objects.count()) == (400, 0)
    assert post([row()], "?replace=maybe").status_code == 400


def test_an_idempotency_key_that_cannot_be_kept_is_400(post: Post) -> None:
    problem(post([row()], Idempotency_Key="k" * 256), 400)


# --- Keys and the database -----------------------------------------------------------------------------------------


def test_keys_that_are_wrong_expired_or_lack_the_scope(
    post: Post, client: Client, make_key: Callable[..., str], organisation: Organisation
) -> None:
    assert "not known" in problem(post([row()], key="esg_wrong"), 401)
    assert "expired" in problem(post([row()], key=make_key(expires_at=timezone.now() - timedelta(days=1))), 401)
    assert "revoked" in problem(post([row()], key=make_key(revoked_at=timezone.now())), 401)
    assert "ingest" in problem(post([row()], key=make_key(scopes=("read",))), 403)
    problem(client.post("/api/v1/samples", [row()], content_type="application/json"), 401)


def test_a_database_that_is_away_is_503_with_retry_after(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(intake, "_attempt", away)
    answer = post([row()])
    problem_status = (answer.status_code, answer["Content-Type"], answer["Retry-After"])
    assert problem_status == (503, "application/problem+json", "5")
