"""A new API key, alone on standard output, so that a script can keep it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from apps.organisations import queries
from apps.organisations.models import Organisation, Scope
from apps.organisations.services import create_api_key


class Command(BaseCommand):
    help = "Creates an API key and prints it, and nothing else, on standard output. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--team", metavar="SLUG", help="the key may send for this team only")
        parser.add_argument("--site", metavar="CODE", default="", help="site of readings that name none")
        parser.add_argument("--name", required=True, metavar="TEXT", help="where the key will live")
        parser.add_argument(
            "--scope", required=True, action="append", choices=Scope.values, help="may be given more than once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"No organisation has the slug {options['organisation']}.")
        team = None
        if options["team"] is not None:
            team = queries.team(organisation, options["team"])
            if team is None:
                slugs = ", ".join(team.slug for team in queries.teams(organisation)) or "none yet"
                raise CommandError(f"{organisation.name} has no team {options['team']}. Its teams: {slugs}.")
        try:
            _, key = create_api_key(
                organisation=organisation,
                name=options["name"],
                scopes=options["scope"],
                team=team,
                site_code=options["site"],
                actor="system",
            )
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        self.stdout.write(key)
