"""The form of one attribution rule."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.telemetry.attribution.models import AttributionRule

DOORS = (
    ("", "Any"),
    ("prometheus", "Prometheus remote write"),
    ("otlp", "OpenTelemetry"),
    ("codecarbon", "CodeCarbon"),
    ("upload", "Uploads"),
)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    door = forms.ChoiceField(label="Came by", choices=DOORS, required=False)

    class Meta:
        model = AttributionRule
        fields = ["label", "pattern", "target", "value", "door"]
        labels = {"label": "Label or attribute", "pattern": "Its value", "target": "Means the", "value": "Which one"}
        help_texts = {
            "label": "As the client says it, such as namespace or service.name.",
            "pattern": "* stands for anything; empty: whatever the value is.",
            "value": "A team's name, a site's code, a model's or workload's name. Empty: the label's own value.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, listed in (("label", "labels-seen"), ("pattern", "values-seen"), ("value", "names-known")):
            self.fields[name].widget.attrs.update({"list": listed, "autocomplete": "off"})

    def rule(self) -> AttributionRule:
        """The rule as typed, not saved: for a preview."""
        given = {name: self.cleaned_data[name] for name in self.Meta.fields}
        return AttributionRule(position=0, **given)
