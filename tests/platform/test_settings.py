"""Settings: what is refused, what is kept, what the databases are really told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_OURS = {"SECRET_KEY", "DEBUG", "ESGPORTAL_DEMO", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}


def ask(expression: str, data: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Evaluate ``expression`` on the settings in a process of its own with just these variables."""
    kept = {key: value for key, value in os.environ.items() if key not in NOT_OURS and not key.startswith("ESGPORTAL_")}
    code = f"from esgportal import settings as s; print({expression})"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**kept, "ESGPORTAL_DATA_DIR": str(data), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_refuses_to_start_without_a_secret_key_and_says_why(tmp_path: Path) -> None:
    answer = ask("s.SECRET_KEY", tmp_path)
    assert answer.returncode != 0
    assert "SECRET_KEY is not set and DEBUG is off" in answer.stderr


def test_the_demo_makes_a_key_once_and_later_commands_find_it(tmp_path: Path) -> None:
    first = ask("s.SECRET_KEY", tmp_path, ESGPORTAL_DEMO="1").stdout
    assert len(first.strip()) >= 50
    assert ask("s.SECRET_KEY", tmp_path).stdout == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_the_environments_key_comes_first(tmp_path: Path) -> None:
    ask("s.SECRET_KEY", tmp_path, ESGPORTAL_DEMO="1")
    assert ask("s.SECRET_KEY", tmp_path, SECRET_KEY="mine").stdout.strip() == "mine"


def test_a_socket_folder_in_the_database_url_reaches_the_driver(tmp_path: Path) -> None:
    for url in (
        "postgresql://postgres:@/portal?host=/tmp/sockets",
        "postgresql://postgres@%2Ftmp%2Fsockets/portal",
    ):
        answer = ask("s.DATABASES['default']", tmp_path, SECRET_KEY="k", DATABASE_URL=url)
        assert "/tmp/sockets" in answer.stdout, answer
        assert "'NAME': 'portal'" in answer.stdout


@pytest.mark.django_db
def test_the_databases_session_is_as_the_settings_ask() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            found = {}
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
                cursor.execute(f"PRAGMA {name}")
                found[name] = cursor.fetchone()[0]
            assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
        else:
            cursor.execute("SHOW timezone")
            assert cursor.fetchone()[0] == "UTC"
