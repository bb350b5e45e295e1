"""Settings of the portal, all read from the environment.

``DATABASE_URL`` and ``REDIS_URL`` alone choose between the two ways to run: embedded (SQLite in WAL mode, a
broker of plain files) and production (PostgreSQL, Redis). Nothing else in the code asks which one it is.
"""

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from redis.backoff import NoBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("ESGPORTAL_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEMO = env.bool("ESGPORTAL_DEMO", default=False)
DEBUG = env.bool("DEBUG", default=False)


def _secret_key() -> str:
    """The key of the environment, else the one kept in the data folder, else (DEBUG or demo only) a new kept one."""
    if key := env.str("SECRET_KEY", default=""):
        return key
    kept = DATA_DIR / "secret_key"
    if not kept.exists():
        if not (DEBUG or DEMO):
            raise ImproperlyConfigured(
                "SECRET_KEY is not set and DEBUG is off. Set SECRET_KEY to a long random value, or start the portal"
                f" once with `make run`, which makes a key and keeps it in {kept}."
            )
        part = kept.with_suffix(f".{os.getpid()}")
        part.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        part.write_text(get_random_secret_key())
        try:
            os.link(part, kept)  # atomic: of two processes starting at once, the first one's key stands
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return kept.read_text().strip()


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "esgportal.staticfiles.CollectedFiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "apps.core",
    "apps.audit",
    "apps.organisations",
    "apps.sites",
    "apps.workloads",
    "apps.factors",
    "apps.procurement",
    "apps.telemetry",
    "apps.accounting",
    "apps.disclosures",
    "apps.dashboards",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.organisations.middleware.OrganisationMiddleware",
]

ROOT_URLCONF = "esgportal.urls"
WSGI_APPLICATION = "esgportal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.context_processors.page",
                "apps.organisations.context_processors.person",
            ],
            "builtins": ["apps.core.templatetags.figures"],
        },
    }
]

# --- Database ---------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'portal.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Kept open: the last connection to close would check-point the log and delete it, after every request.
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        # One writer at a time: taking the write lock at BEGIN avoids a deadlock on the upgrade from read to write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            " PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY; PRAGMA busy_timeout=30000;"
        ),
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=600)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    # The folder of a unix socket: postgresql://user@/name?host=/run/postgresql or postgresql://user@%2Frun%2Fpostgresql/name
    DATABASES["default"]["HOST"] = unquote(_options.pop("host", DATABASES["default"]["HOST"]))
    # Binary COPY needs a session of our own; a transaction-pooling proxy is not supported.
    # The portal's statements take milliseconds: compiling them, or starting helpers for them, takes longer (measured).
    _session = "-c timezone=UTC -c jit=off -c max_parallel_workers_per_gather=0"
    _options["options"] = f"{_options.get('options', '')} {_session}".strip()

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Broker, cache and tasks --------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    # A request must not wait for a broker or cache that is away.
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
        "socket_keepalive": True,
    }
    CACHES = {
        "default": {
            "BACKEND": "esgportal.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "cache",
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2, "retry": Retry(NoBackoff(), 1)},
        }
    }
else:
    _queue = DATA_DIR / "queue"
    for _folder in ("messages", "processed", "control"):
        (_queue / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "files://localhost//"  # esgportal.broker
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue / "messages"),
        "data_folder_out": str(_queue / "messages"),
        "processed_folder": str(_queue / "processed"),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.1,  # kombu looks once a second; a folder listing ten times a second costs nothing
    }
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # its replies would stay behind as files that nobody reads
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": DATA_DIR / "cache",
        }
    }

# Over how many database connections one settling rebuilds many days (PostgreSQL; SQLite has one writer).
SETTLE_CONNECTIONS = env.int("SETTLE_CONNECTIONS", default=2)

CELERY_TASK_IGNORE_RESULT = True  # what a task achieved stands in the database
CELERY_TASK_ACKS_LATE = True  # a killed worker's message is delivered again; every task is safe to run twice
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    # A lost message loses nothing: what is pending stands in tables, and these look there.
    "sweep-dirty-hours": {"task": "accounting.sweep", "schedule": 60.0},
    "sweep-disclosure-renderings": {"task": "disclosures.sweep", "schedule": 60.0},
    "sweep-factor-imports": {"task": "accounting.sweep_factor_imports", "schedule": 60.0},
    "sweep-uploads": {"task": "telemetry.sweep_uploads", "schedule": 60.0},
    "expire-old-records": {
        "task": "telemetry.expire",
        "schedule": crontab(hour=3, minute=17),
    },
}

# --- People -------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "organisations.Person"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "apps.organisations.adapters.AccountAdapter"  # closes self sign-up: people are invited
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # allauth's mail to a stranger offers a sign-up that does not exist
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000/")  # where links lead in mails that no page sent

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="esgportal@localhost")

# --- API ----------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.organisations.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.organisations.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.problems.problem_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "esgportal API",
    "DESCRIPTION": "Energy telemetry of AI workloads in; location-based and market-based Scope 2 emissions out.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",  # so that operations are grouped by what follows it
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {  # both a reading and a factor have a kind and a boundary
        "KindEnum": "apps.workloads.models.Kind.labels",
        "BoundaryEnum": "apps.telemetry.models.Boundary.labels",
        "FactorKindEnum": "apps.factors.models.FactorDataset.Kind",
        "FactorBoundaryEnum": "apps.factors.models.FactorDataset.Boundary",
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # pages; ingest reads its stream itself, with its own limits
APPEND_SLASH = False  # a redirected POST loses its body in half of all clients
INGEST_MAX_BODY_BYTES = 64 * 1024 * 1024  # unpacked
INGEST_MAX_SAMPLES = 50_000

# --- Files --------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "apps.core.finders.PackagedFilesFinder",  # plotly.js and the fonts, from their installed packages
]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "files"},
    },
    "staticfiles": {
        "BACKEND": env.str(
            "STATICFILES_BACKEND",
            default="django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "esgportal.staticfiles.Storage",
        )
    },
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["png", "woff", "woff2", "map"]

# --- Language, time, security, logs -------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

HTTPS = env.bool("HTTPS", default=False)  # set behind a proxy that terminates TLS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=False)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
# Redirecting to TLS is the proxy's work, and what other hosts of the domain do is not ours to promise.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
# How many proxies append to X-Forwarded-For; the limits on sign-in attempts need the client's address.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", default=1 if HTTPS else 0)
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"fontTools": {"level": "WARNING"}, "weasyprint": {"level": "ERROR"}},
}
