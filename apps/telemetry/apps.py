from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "apps.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        from apps.telemetry import openapi  # noqa: F401 - registers itself with drf-spectacular
