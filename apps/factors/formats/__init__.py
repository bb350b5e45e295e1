"""Reading factor files: one module for each layout, all turning a file into tables. Nothing here knows the database."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from apps.factors.formats import aib, desnz, egrid, generic_csv, hourly_csv
from apps.factors.formats.book import Book
from apps.factors.formats.table import FactorFileError, Fault, Given, Progress, Table

# The order in which a file is offered to them: the layout that claims the least by its look comes last.
FORMATS: dict[str, ModuleType] = {
    "egrid": egrid,
    "desnz": desnz,
    "hourly": hourly_csv,
    "aib": aib,
    "generic": generic_csv,
}
LABELS = {name: str(module.LABEL) for name, module in FORMATS.items()}


def detect(book: Book) -> str:
    """Which layout a file has. Raises ``FactorFileError`` when none of those known."""
    for name, module in FORMATS.items():
        if module.recognises(book):
            return name
    sheets = ", ".join(book.names[:5])
    expected = f"one of the layouts known: {', '.join(LABELS.values())}"
    raise FactorFileError([Fault(1, "-", f"a workbook with the sheets {sheets}", expected)])


def read(
    content: bytes, *, layout: str = "", given: Given | None = None, progress: Progress = lambda rows: None
) -> tuple[str, Sequence[Table]]:
    """The layout and the datasets of a file, each with its faults; a layout gives up to three datasets.

    ``layout`` is one of :data:`FORMATS`, empty to find out; ``given`` is what the user says instead of the file
    (``slug``, ``edition``, ``publisher``, ``title``, ``licence``, ``kind``, ``year``, ``valid_from``, ``valid_to``);
    ``progress`` is told of rows as they are read. Raises ``FactorFileError`` for a file that is no table at all.
    """
    book = Book(content)
    name = layout or detect(book)
    return name, FORMATS[name].read(book, given or {}, progress)
