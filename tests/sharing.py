"""What the tests of a file share: made once, in a transaction that is taken back after the last of them.

Each of these tests runs in a savepoint inside that transaction. So a file that shares cannot hold tests with
``django_db(transaction=True)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from pytest_django import DjangoDbBlocker


@contextmanager
def taken_back(blocker: DjangoDbBlocker) -> Iterator[None]:
    """For a fixture of a file (or package) that asks for ``django_db_setup`` and ``django_db_blocker``."""
    with blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)
