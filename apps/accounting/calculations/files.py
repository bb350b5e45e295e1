"""A whole receipt as a file, written as it is read: memory does not grow with the number of lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from apps.accounting.calculations import sql
from apps.accounting.calculations.queries import FILE_LINES, Calculation, TooManyLinesError
from apps.accounting.calculations.sql import Words
from apps.accounting.engine.receipt import COLUMNS, WORDS, LinesDigest
from apps.core.exports import safe_cell

_OTHERS = ("readings", "rate", "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg")


def check_size(calculation: Calculation) -> int:
    """The number of lines. Raises :class:`TooManyLinesError` where one file would not take them."""
    count = sql.count(calculation.selection, FILE_LINES + 1)
    if count > FILE_LINES:
        raise TooManyLinesError(
            f"The selection has more than {FILE_LINES:,} lines. Take a shorter time or a narrower filter: the receipts"
            " of the parts add up to it."
        )
    return count


def json_file(calculation: Calculation) -> Iterator[str]:
    """The receipt that ``verify_calculation`` reads: head, lines as arrays, accounts, digest of both."""
    head = calculation.head()
    yield f'{{"head":{_text(head)},\n"columns":{_text(list(COLUMNS))},\n"lines":['
    digest, count = LinesDigest(), 0
    accounts: list[Words] = []
    for rows, words in calculation.rows_by_day():
        for row in rows:
            digest.add(row)
        accounts += words.values()
        if rows:
            yield ("\n" if not count else ",\n") + ",\n".join(map(_text, rows))
            count += len(rows)
    yield '],\n"accounts":['
    for position, said in enumerate(accounts):
        account = {"account": said.account, **calculation.said(said)}
        digest.add_account(account)
        yield ("\n" if not position else ",\n") + _text(account)
    yield f'],\n"line_count":{count},\n"lines_digest":"{digest.hexdigest()}"}}\n'


class _Echo:
    def write(self, text: str) -> str:
        return text


def csv_file(calculation: Calculation) -> Iterator[str]:
    """The lines as a table, with the words of their accounts."""
    writer = csv.writer(_Echo())
    yield writer.writerow(["hour", "account", *WORDS, *_OTHERS])
    known: dict[int, Words] = {}
    for rows, words in calculation.rows_by_day():
        known |= words
        lines = []
        for hour, account, rate, readings, it, used, location in rows:
            said = known[account]
            cells = [hour, account, *(getattr(said, name) for name in WORDS), readings, rate, it, used, location]
            lines.append(writer.writerow([safe_cell(cell) for cell in cells]))
        yield "".join(lines)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
