"""A new organisation with its first administrator."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from apps.organisations.models import Person
from apps.organisations.services import create_organisation


class Command(BaseCommand):
    help = (
        "Creates an organisation with one administrator. The password is read from standard input when that is not a"
        " terminal; without one, the administrator gets a mail with a link to set it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="short name in addresses, such as acme")
        parser.add_argument("--name", required=True)
        parser.add_argument("--admin-email", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        password = None if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n") or None
        known = Person.objects.filter(email=options["admin_email"].strip().lower()).exists()
        try:
            organisation = create_organisation(
                slug=options["slug"],
                name=options["name"],
                admin_email=options["admin_email"],
                admin_password=password,
                actor="system",
            )
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        if known:
            how = "has an account already and keeps its password"
        elif password is None:
            how = "gets a mail with a link to set a password"
        else:
            how = "signs in with the password given"
        self.stdout.write(f"Organisation {organisation.slug} created; {options['admin_email']} {how}.")
