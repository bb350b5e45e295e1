"""``manage.py settle [--organisation SLUG]``: works off everything pending in this process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounting import services
from apps.accounting.queries import ledger_status
from apps.organisations.models import Organisation


class Command(BaseCommand):
    help = "Rebuild every dirty hour of the ledger in this process; no worker is needed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", metavar="SLUG", help="only this one; all without it")

    def handle(self, *args: Any, organisation: str | None, **options: Any) -> None:
        organisations = Organisation.objects.order_by("slug")
        if organisation is not None:
            organisations = organisations.filter(slug=organisation)
            if not organisations.exists():
                raise CommandError(f"There is no organisation with the slug {organisation!r}.")
        pending = 0
        for row in organisations:
            self.stderr.write(f"{row.slug}: {ledger_status(row.pk).pending_hours} hours pending")
            services.settle(row.pk, progress=self.stderr.write)
            pending += ledger_status(row.pk).pending_hours
        self.stdout.write(f"{pending} hours pending")
