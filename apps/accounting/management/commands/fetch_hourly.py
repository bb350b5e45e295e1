"""``fetch_hourly``: hours of carbon intensity from a provider, kept as an hourly dataset.

It stands in this room because it names an organisation, which the factors room does not know.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.windows import midnight
from apps.factors.fetching import KEY_VARIABLES, fetch_hours
from apps.factors.providers import PROVIDERS
from apps.factors.providers.base import ProviderError
from apps.organisations.models import Organisation


class Command(BaseCommand):
    help = (
        "Fetch hourly carbon intensity from a provider as a new hourly dataset, private to the organisation named."
        f" Keys come from the environment: {', '.join(KEY_VARIABLES.values())}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", choices=list(PROVIDERS), required=True)
        parser.add_argument("--zone", required=True, help="the zone as the provider names it")
        parser.add_argument("--grid-zone", default="", help="the portal's zone, where it is named differently")
        parser.add_argument("--from", dest="start", type=date.fromisoformat, required=True, help="first day, UTC")
        parser.add_argument("--to", dest="end", type=date.fromisoformat, required=True, help="first day after")
        parser.add_argument("--organisation", default="", help="slug; without it for the whole installation")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation_id = None
        if slug := options["organisation"]:
            organisation_id = Organisation.objects.filter(slug=slug).values_list("pk", flat=True).first()
            if organisation_id is None:
                raise CommandError(f"No organisation {slug!r}.")
        try:
            result = fetch_hours(
                provider=options["provider"],
                provider_zone=options["zone"],
                zone=options["grid_zone"],
                start=midnight(options["start"]),
                end=midnight(options["end"]),
                actor="system",
                organisation_id=organisation_id,
            )
        except ProviderError as error:
            raise CommandError(f"nothing was stored: {error}") from None
        self.stdout.write(f"{result.dataset}: {result.added} hours added")
        if result.superseded is not None and result.comparison is not None:
            self.stdout.write(f"  supersedes {result.superseded.edition}; against it: {result.comparison.summary}")
