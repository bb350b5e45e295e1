"""The rulesets that the engine knows, by name and version.

[1] GHG Protocol Scope 2 Guidance, an amendment to the Corporate Standard (2015): the standard in force.
[2] GHG Protocol, Scope 2 public consultation (20 October 2025): a proposal that binds nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

RULESET_2015 = "ghgp-scope2-2015"
RULESET_DRAFT_2025_10 = "ghgp-scope2-draft-2025-10"


class RulesetStatus(StrEnum):
    IN_FORCE = "in force"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A published text that figures are made by. ``is_reported``: whether a disclosed figure may follow it."""

    id: str
    title: str
    version: str
    published_on: date
    status: RulesetStatus
    is_reported: bool
    source: str
    source_url: str


RULESETS: dict[str, Ruleset] = {
    ruleset.id: ruleset
    for ruleset in (
        Ruleset(
            id=RULESET_2015,
            title="GHG Protocol Scope 2 Guidance",
            version="2015",
            published_on=date(2015, 1, 20),
            status=RulesetStatus.IN_FORCE,
            is_reported=True,
            source="World Resources Institute and WBCSD, GHG Protocol Scope 2 Guidance (2015)",
            source_url="https://ghgprotocol.org/scope-2-guidance",
        ),
        Ruleset(
            id=RULESET_DRAFT_2025_10,
            title="GHG Protocol Scope 2 revision, hourly what-if",
            version="consultation draft of October 2025",
            published_on=date(2025, 10, 20),
            status=RulesetStatus.DRAFT,
            is_reported=False,
            source="GHG Protocol, Scope 2 public consultation, 20 October 2025",
            source_url="https://ghgprotocol.org/sites/default/files/2025-10/GHG-Protocol-Scope2-Public-Consultation.pdf",
        ),
    )
}

REPORTED = RULESETS[RULESET_2015]
"""The one ruleset that reported figures follow."""
