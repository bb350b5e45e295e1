"""Adopt a factor dataset for an organisation, from a terminal."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounting.adoption import queries, services
from apps.accounting.adoption.preview import preview
from apps.core.figures import mass, signed_mass
from apps.organisations.models import Organisation


class Command(BaseCommand):
    help = "Use a factor dataset for an organisation's activities, and print what that changes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--dataset", required=True, metavar="SLUG")
        parser.add_argument("--edition", required=True)
        parser.add_argument(
            "--from", dest="start", type=date.fromisoformat, metavar="DATE", help="first day of a quarter"
        )
        parser.add_argument("--to", dest="end", type=date.fromisoformat, metavar="DATE", help="first day after")
        parser.add_argument("--reason", default="")
        parser.add_argument("--dry-run", action="store_true", help="print what would change and leave it")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"no organisation {options['organisation']}")
        wanted = (options["dataset"], options["edition"])
        found = [row for row in queries.adoptable(organisation.pk) if (row.slug, row.edition) == wanted]
        if not found:
            raise CommandError(f"no dataset {wanted[0]} of edition {wanted[1]}; load it first")
        dataset, start, end = found[0], options["start"], options["end"]
        change = preview(organisation, dataset, start, end)
        for row in change.differences:
            self.stdout.write(
                f"{row.quarter}: location-based {mass(row.location_before)} -> {mass(row.location_after)}"
                f" ({signed_mass(row.location_change)}), market-based {mass(row.market_before)} ->"
                f" {mass(row.market_after)} ({signed_mass(row.market_change)})"
            )
        if change.changes_nothing:
            self.stdout.write("no factor of this organisation changes")
        if options["dry_run"]:
            return
        try:
            services.adopt(
                organisation=organisation,
                dataset=dataset,
                start=start,
                end=end,
                actor="system",
                reason=options["reason"],
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        self.stdout.write(f"adopted {dataset} {services.describe(start, end)}; figures follow at the next settling")
