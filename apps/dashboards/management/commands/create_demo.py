"""``create_demo``: the demo organisation, once, and its logins."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.dashboards.demo.people import demo_logins


class Command(BaseCommand):
    help = "Makes the demo organisation with two quarters of published and simulated energy, once. Prints the logins."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--print-logins", action="store_true", help="print the demo logins and do nothing else")

    def handle(self, *args: Any, print_logins: bool = False, **options: Any) -> None:
        if not print_logins:
            self._create()
        logins = demo_logins()
        if not logins:
            return
        self.stdout.write(f"Demo logins, all with the password {logins[0].password}:")
        for login in logins:
            self.stdout.write(f"  {login.email:<24} {login.label:<14} {login.may}")

    def _create(self) -> None:
        # The demo stands on every room; printing the logins needs none of them.
        from apps.dashboards.demo.build import NotADemonstrationError, create_demo, demo_organisation

        if (organisation := demo_organisation()) is not None:
            self.stdout.write(f"The demo organisation exists: {organisation.name}")
            return
        try:
            organisation = create_demo()
        except (NotADemonstrationError, LookupError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The demo organisation is made: {organisation.name}")
