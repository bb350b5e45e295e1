# Two commands: `make run` and `make test`. What they need besides Python 3.11+ and make they bring themselves.
#
#   make run      the portal with its demo organisation on http://127.0.0.1:8000 (HOST, PORT, DATABASE_URL, REDIS_URL)
#   make test     the whole suite on SQLite with the embedded broker and, beside it, on PostgreSQL with Redis
#   make lint     format, lint, types, import contract, migrations
#   make bench    benchmarks, printed as ratios
#   make lock     pin the requirements again
#   make clean    remove everything the other targets made, the data folder excepted
#
# PYTHON chooses the interpreter: PYTHON=python3.12 make run

ifndef PYTHON
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11; do $$name -c \
	'import sys; print(sys.executable) if sys.version_info >= (3, 11) else sys.exit(1)' 2>/dev/null && break; done)
endif
VENV_PYTHON := .venv/bin/python
TESTS ?=

.PHONY: run test lint bench lock clean base dev python
.DEFAULT_GOAL := run

run: export ESGPORTAL_DEMO = 1
run: base
	@exec $(VENV_PYTHON) -m esgportal.run

test: dev
	@exec $(VENV_PYTHON) -m tests $(TESTS)

lint: export SECRET_KEY = a key of fifty characters and more, for these checks only
lint: dev
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports
	$(VENV_PYTHON) manage.py makemigrations --check --dry-run
	HTTPS=1 $(VENV_PYTHON) manage.py check --deploy --fail-level WARNING

bench: dev
	@exec $(VENV_PYTHON) -m bench

base: python
	@$(PYTHON) requirements/install.py base pango

dev: python
	@$(PYTHON) requirements/install.py dev pango chromium poppler redis prometheus

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found. Try: make PYTHON=/path/to/python3.12"; exit 1; }

lock: dev
	$(VENV_PYTHON) -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		requirements/base.in -o requirements/base.txt
	$(VENV_PYTHON) -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--constraint requirements/base.txt requirements/dev.in -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-artifacts
	find apps esgportal tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
