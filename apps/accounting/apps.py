from django.apps import AppConfig


class AccountingConfig(AppConfig):
    name = "apps.accounting"
    label = "accounting"

    def ready(self) -> None:
        from apps.accounting.wake import wake_on_changed_inputs
        from apps.core.signals import inputs_changed

        inputs_changed.connect(wake_on_changed_inputs, dispatch_uid="accounting.wake")
