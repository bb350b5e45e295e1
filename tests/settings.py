"""The portal's settings as the tests see them: a data folder of the run's own, a database in a file, fast passwords.

The backends come from the environment (``DATABASE_URL``, ``REDIS_URL``), as everywhere; ``python -m tests`` sets them.
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path


def _own_data_folder() -> None:
    """Give this test process a data folder that nobody else uses, removed when it ends."""
    folder = tempfile.mkdtemp(prefix="esgportal-test-")
    os.environ["ESGPORTAL_DATA_DIR"] = folder
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a forked child
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def _own_redis_database() -> None:
    """Give every worker of pytest-xdist its own Redis database, so that none takes another's messages."""
    if (url := os.environ.get("REDIS_URL")) and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
        number = int(re.sub(r"\D", "", worker)) + 1
        os.environ["REDIS_URL"] = re.sub(r"(://[^/]+)(/\d*)?$", rf"\1/{number}", url)


# A child process that a test starts shares what its test has; a worker of pytest-xdist shares nothing with its parent.
_identity = os.environ.get("PYTEST_XDIST_WORKER", "main")
if os.environ.get("ESGPORTAL_TEST_PROCESS") != _identity:
    os.environ["ESGPORTAL_TEST_PROCESS"] = _identity
    _own_data_folder()
    _own_redis_database()
os.environ.setdefault("SECRET_KEY", "a key for tests, known to everybody")
os.environ["STATICFILES_BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
# Playwright's synchronous interface runs an event loop in the test's thread; Django would refuse the database there.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from esgportal.settings import *  # noqa: E402, F403
from esgportal.settings import DATA_DIR, DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A live server and a worker process need to see the database: not one in memory.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(DATA_DIR, "test.sqlite3"))}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# Static files straight from where they lie, looked up when asked for: nothing is collected before a test.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
