"""Forms of the settings pages. They read what was typed; the services decide whether it holds."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from apps.core.forms import DayInput
from apps.organisations import queries
from apps.organisations.models import Organisation, Role, Scope


class InviteForm(forms.Form):
    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = forms.CharField(label="Name", max_length=120, required=False)
    role = forms.ChoiceField(label="Role", choices=Role, initial=Role.VIEWER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role)


class TeamForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    slug = forms.SlugField(
        label="Short name",
        max_length=50,
        help_text="What telemetry calls the team: letters, digits, - and _. It never changes.",
    )


class RenameTeamForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)


class SettingsForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120, help_text="As it stands on disclosures.")
    claim_period = forms.ChoiceField(
        label="Claim period",
        choices=Organisation.ClaimPeriod,
        help_text="Over which time bought instruments are matched with consumption.",
    )
    vintage_window_months = forms.IntegerField(
        label="Vintage window [months]",
        min_value=1,
        max_value=60,
        help_text="How far an instrument's vintage may lie from the consumption it is claimed for.",
    )
    market_allocation = forms.ChoiceField(
        label="Instruments to teams and models",
        choices=Organisation.MarketAllocation,
        widget=forms.RadioSelect,
        help_text="The total of a market and period is the same either way. What an earmarked lot does not use up"
        " there is shared like all others.",
    )
    idle_policy = forms.ChoiceField(
        label="Idle energy",
        choices=Organisation.PoolPolicy,
        widget=forms.RadioSelect,
        help_text="Energy of the kind idle that names no team.",
    )
    difference_policy = forms.ChoiceField(
        label="Difference to the site's meter",
        choices=Organisation.PoolPolicy,
        widget=forms.RadioSelect,
        help_text="Booked where a meter shows more than telemetry times PUE. No standard prescribes a key; the policy"
        " is printed with the figures, and with every one of them the parts add up to the meter.",
    )


class KeyForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120, help_text="Where the key will live, such as a cluster.")
    scopes = forms.MultipleChoiceField(
        label="Scopes", choices=Scope, initial=[Scope.INGEST], widget=forms.CheckboxSelectMultiple
    )
    team = forms.ChoiceField(label="Team", required=False, help_text="A key bound to a team sends for this team only.")
    site_code = forms.ChoiceField(
        label="Default site", required=False, help_text="The site of readings that name none."
    )
    expires_on = forms.DateField(
        label="Expires on",
        required=False,
        widget=DayInput(),
        help_text="Last day of use (UTC); empty for a key that does not expire.",
    )

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = [(team.slug, team.name) for team in queries.teams(organisation)]
        self.fields["team"].choices = [("", "Any team"), *teams]  # type: ignore[attr-defined]
        self.fields["site_code"].choices = [("", "None"), *queries.site_choices(organisation)]  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        """The first moment after the last day of use."""
        day = self.cleaned_data["expires_on"]
        return datetime.combine(day + timedelta(days=1), time(), UTC) if day else None
