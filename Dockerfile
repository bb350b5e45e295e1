# The portal's image: web, worker and beat run from it with different commands (docker-compose.yml).
FROM python:3.12-slim-bookworm AS packages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements/base.txt /tmp/base.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: --requirement /tmp/base.txt

FROM python:3.12-slim-bookworm

# What WeasyPrint opens; the fonts come with the requirements.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 libfontconfig1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 portal \
    && install --directory --owner portal --group portal /srv/data /srv/portal

COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ESGPORTAL_DATA_DIR=/srv/data \
    STATIC_ROOT=/srv/portal/staticfiles

WORKDIR /srv/portal
COPY --chown=portal:portal . .
RUN python -m compileall -q apps esgportal \
    && SECRET_KEY=only-for-this-build ESGPORTAL_DATA_DIR=/tmp/build python manage.py collectstatic --no-input --verbosity 0 \
    && rm -rf /tmp/build && chown -R portal:portal staticfiles

USER portal
EXPOSE 8000
VOLUME /srv/data
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "2", \
     "--no-ws", "--respawn-failed-workers", "esgportal.wsgi:application"]
