"""What goes into the settings of clients that know the portal's doors: the key and the address filled in.

Text for YAML, INI and shell is quoted so that no character of a key or an address can end the quotation.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from apps.telemetry.protocols.metrics_table import TABLE

# What Prometheus is asked to send: the names of the metric table, Ray's re-exports of vLLM among them.
SENT_METRICS = "(ray_)?(" + "|".join(sorted(TABLE)) + ")(_total|_sum)?"


def prometheus(base: str, key: str) -> str:
    """The part of ``prometheus.yml`` that sends energy and work, and nothing else."""
    return f"""\
remote_write:
  - url: {json.dumps(f"{base}/api/prometheus/write")}
    authorization:
      credentials: {json.dumps(key)}
    write_relabel_configs:
      - source_labels: [__name__]
        regex: {json.dumps(SENT_METRICS)}
        action: keep
"""


def opentelemetry(base: str, key: str) -> str:
    """Environment variables for a program with an OpenTelemetry SDK."""
    header = quote(f"Bearer {key}", safe="")
    return f"""\
export OTEL_METRICS_EXPORTER=otlp
export OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="{base}/api/otlp/v1/metrics"
export OTEL_EXPORTER_OTLP_METRICS_HEADERS="Authorization={header}"
export OTEL_EXPORTER_OTLP_METRICS_COMPRESSION=gzip
export OTEL_RESOURCE_ATTRIBUTES="service.namespace=my-team,service.name=my-model,host.name=$(hostname)"
"""


def collector(base: str, key: str) -> str:
    """An exporter of the OpenTelemetry Collector, and where it goes into the pipeline."""
    return f"""\
exporters:
  otlphttp/esgportal:
    metrics_endpoint: {json.dumps(f"{base}/api/otlp/v1/metrics")}
    compression: gzip
    headers:
      Authorization: {json.dumps(f"Bearer {key}")}
service:
  pipelines:
    metrics/esgportal:
      receivers: [otlp]
      exporters: [otlphttp/esgportal]
"""


def codecarbon(base: str, key: str, experiment: str) -> str:
    """``.codecarbon.config`` for the folder that a job runs in."""
    return f"""\
[codecarbon]
output_methods = api
api_endpoint = {base}/api/codecarbon
api_key = {key}
experiment_id = {experiment}
"""


def slurm(base: str, key: str) -> str:
    """A line for a Slurm epilog or a nightly job: what ``sacct`` knows of yesterday's jobs."""
    columns = "JobIDRaw,User,Account,Cluster,Partition,NodeList,Start,End,ElapsedRaw,ConsumedEnergyRaw,AllocTRES"
    return f"""\
sacct -P --allusers --starttime=now-1day --format={columns} |
curl -sS "{base}/api/v1/uploads?format=slurm&timezone=$(date +%:z | sed 's/+/%2B/')" \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: text/plain" \\
  --data-binary @-
"""


def nvidia_smi(base: str, key: str) -> str:
    """Power of every GPU each second for a minute, sent as a file."""
    return f"""\
timeout 60 nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv --loop=1 > gpu-power.csv
curl -sS "{base}/api/v1/uploads?format=nvidia-smi&timezone=$(date +%:z | sed 's/+/%2B/')" \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: text/csv" \\
  --data-binary @gpu-power.csv
"""


def kubernetes(base: str, key: str) -> str:
    """The key as a secret, and remote write for a Prometheus of the Prometheus operator."""
    return f"""\
apiVersion: v1
kind: Secret
metadata:
  name: esgportal
  namespace: monitoring
stringData:
  key: {json.dumps(key)}
---
# Into the spec of your Prometheus (kind: Prometheus, monitoring.coreos.com/v1):
spec:
  remoteWrite:
    - url: {json.dumps(f"{base}/api/prometheus/write")}
      authorization:
        credentials:
          name: esgportal
          key: key
      writeRelabelConfigs:
        - sourceLabels: [__name__]
          regex: {json.dumps(SENT_METRICS)}
          action: keep
"""
