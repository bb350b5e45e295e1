"""Demo logins: one for each role, and only in a demonstration."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.template.loader import render_to_string
from pytest_django.fixtures import Settings

from apps.dashboards.demo.people import LOGINS
from apps.organisations.models import Person, Role


def test_there_is_one_login_for_each_role():
    assert sorted(login.role for login in LOGINS) == sorted(Role)


def test_the_demo_passwords_meet_the_portals_own_rules():
    for login in LOGINS:
        validate_password(login.password, Person(email=login.email, name=login.name))


def test_the_login_page_shows_them_in_a_demonstration(settings: Settings):
    settings.DEMO = True
    text = render_to_string("account/_demo_logins.html")
    for login in LOGINS:
        assert login.email in text
        assert login.password in text


def test_the_login_page_shows_none_elsewhere(settings: Settings):
    settings.DEMO = False
    assert render_to_string("account/_demo_logins.html").strip() == ""
