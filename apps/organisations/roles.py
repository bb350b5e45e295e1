"""What each role may do. The only place that says so; views ask by capability, never by role."""

from __future__ import annotations

from enum import StrEnum

from apps.organisations.models import Role


class Capability(StrEnum):
    READ = "read figures"
    CONNECT = "create keys, send telemetry, map names and sources"
    MANAGE_INVENTORY = "change sites, PUE, teams and instruments"
    DISCLOSE = "open periods and make disclosures"
    APPROVE = "approve disclosures"
    READ_AUDIT_LOG = "read the audit log and the ingest log"
    ADMINISTER = "manage people, roles, all keys and settings"


_EVERYONE = frozenset({Capability.READ})
CAPABILITIES: dict[Role, frozenset[Capability]] = {
    Role.VIEWER: _EVERYONE,
    Role.ENGINEER: _EVERYONE | {Capability.CONNECT},
    Role.OFFICER: _EVERYONE
    | {
        Capability.CONNECT,
        Capability.MANAGE_INVENTORY,
        Capability.DISCLOSE,
        Capability.READ_AUDIT_LOG,
    },
    Role.APPROVER: _EVERYONE | {Capability.APPROVE, Capability.READ_AUDIT_LOG},
    Role.AUDITOR: _EVERYONE | {Capability.READ_AUDIT_LOG},
    # Preparing and approving stay two people's work: an administrator approves nothing.
    Role.ADMIN: frozenset(Capability) - {Capability.APPROVE},
}


def may(role: str, capability: Capability) -> bool:
    return capability in CAPABILITIES[Role(role)]
