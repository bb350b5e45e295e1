"""The steps of ``make run`` that need Django, each a short-lived child: ``python -m esgportal.prepare STEP``.

``data``: migrations and reference data. ``static``: static files, collected and compressed. ``demo``: the demo
organisation once, then its logins, a fresh API key and a line to paste. All are safe to run any number of times.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

DEMO_ORGANISATION = "demo"
# Packages that bring static files of their own.
STATIC_PACKAGES = ("django", "djangorestframework", "drf-spectacular-sidecar", "plotly", "font-source-sans-pro")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def static_fingerprint() -> str:
    """Hash of what ``collectstatic`` would collect: package versions, and names, sizes and times of our own files."""
    digest = hashlib.sha256()
    for name in STATIC_PACKAGES:
        digest.update(f"{name}=={version(name)}\n".encode())
    for root in settings.STATICFILES_DIRS:
        for path in sorted(Path(root).rglob("*")):
            if path.is_file():
                status = path.stat()
                digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    finders = Path(settings.BASE_DIR, "apps", "core", "finders.py")
    digest.update(finders.read_bytes() if finders.exists() else b"")
    return digest.hexdigest()


def static() -> None:
    """Collect and compress the static files, unless they have not changed since the last time."""
    stamp = settings.DATA_DIR / "staticfiles.sha256"
    now = f"{static_fingerprint()} {settings.STATIC_ROOT}"
    if stamp.exists() and stamp.read_text() == now and Path(settings.STATIC_ROOT).is_dir():
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(now)


def data() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    call_command("load_reference_data", verbosity=0, stdout=io.StringIO())


def fresh_key() -> str:
    """A new API key of the demo organisation, ingest and read."""
    answer = io.StringIO()
    name = f"make run {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    scopes = ("--scope", "ingest", "--scope", "read")
    call_command("create_api_key", "--organisation", DEMO_ORGANISATION, "--name", name, *scopes, stdout=answer)
    return answer.getvalue().strip()


def demo() -> None:
    url = os.environ["ESGPORTAL_URL"]
    call_command("create_demo")
    key = fresh_key()
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(minutes=30)
    say("")
    say(f"  Portal    {url}/")
    say(f"  API       {url}/api/docs/")
    say(f"  API key   {key}")
    say("")
    say("Post a first reading:")
    say("")
    say(f"  curl -sS {url}/api/v1/samples -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\")
    say(
        f'    -d \'[{{"source":"my-node/gpu0","start":"{start:%Y-%m-%dT%H:%M:%SZ}","end":"{end:%Y-%m-%dT%H:%M:%SZ}",'
        '"energy_wh":350,"site":"fra1","boundary":"accelerator","model":"my-model","kind":"training"}]\''
    )
    say("")


if __name__ == "__main__":
    if os.environ.get("ESGPORTAL_ASIDE"):
        os.nice(10)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esgportal.settings")
    django.setup()
    steps = {"data": data, "static": static, "demo": demo}
    if len(sys.argv) != 2 or sys.argv[1] not in steps:
        sys.exit(f"usage: python -m esgportal.prepare {'|'.join(steps)}")
    steps[sys.argv[1]]()
