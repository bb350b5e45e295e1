"""The demo's people: one login for each role, with a password that everybody may know.

They exist only in an installation that was started as a demonstration (``ESGPORTAL_DEMO=1``).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from apps.organisations.models import Role

PASSWORD = "demo-kilowatt-hours"  # noqa: S105 - printed on the login page on purpose


@dataclass(frozen=True, slots=True)
class DemoLogin:
    role: Role
    name: str
    may: str
    password: str = PASSWORD

    @property
    def email(self) -> str:
        return f"{self.role.value}@demo.example"

    @property
    def label(self) -> str:
        return str(self.role.label)


LOGINS = (
    DemoLogin(Role.OFFICER, "Olga Officer", "sees everything, keeps sites and instruments, makes disclosures"),
    DemoLogin(Role.ENGINEER, "Emil Engineer", "sees figures, makes keys and sends telemetry"),
    DemoLogin(Role.APPROVER, "Ada Approver", "sees figures and approves disclosures"),
    DemoLogin(Role.AUDITOR, "Anton Auditor", "sees figures, the audit log and the ingest log"),
    DemoLogin(Role.ADMIN, "Alma Administrator", "manages people, roles and keys"),
    DemoLogin(Role.VIEWER, "Vera Viewer", "sees figures"),
)


def demo_logins() -> tuple[DemoLogin, ...]:
    """The logins to show; none unless this installation is a demonstration."""
    return LOGINS if settings.DEMO else ()
