"""The page of one CodeCarbon experiment: who it is, what to paste, and its runs. No rules.

The list of experiments stands beside figures of the accounts: :mod:`apps.dashboards.declared`.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.core.units import PPM
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability
from apps.telemetry import queries as telemetry
from apps.telemetry.codecarbon import queries, services
from apps.telemetry.codecarbon.models import Experiment
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT


class ExperimentForm(forms.ModelForm):  # type: ignore[type-arg]
    pue = forms.DecimalField(
        label="The pue= setting of the tracker",
        required=False,
        min_value=1,
        max_value=10,
        decimal_places=6,
        help_text="1 if you never set it. The energy includes it without a word, and it is divided out again.",
    )

    class Meta:
        model = Experiment
        fields = ["name", "team", "model", "site", "kind", "device"]
        labels = {"model": "AI model", "device": "Host, if others measure it too"}
        help_texts = {"device": "As it is called on Sources; then each joule counts once."}

    def __init__(self, data: Any = None, *, organisation: Organisation, instance: Experiment | None = None) -> None:
        initial = {"pue": f"{instance.pue_ppm / PPM:g}" if instance and instance.pue_ppm else ""}
        super().__init__(data, instance=instance, initial=initial)
        self.fields["name"].required = True
        self.fields["team"].queryset = telemetry.teams(organisation)  # type: ignore[attr-defined]
        self.fields["site"].queryset = telemetry.sites(organisation)  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        said = {name: self.cleaned_data[name] for name in self.Meta.fields}
        pue = self.cleaned_data["pue"]
        return {**said, "pue_ppm": None if pue is None else round(pue * PPM)}


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
def experiment(request: PageRequest, experiment_id: int | None = None) -> HttpResponse:
    """Register an experiment that has run, or a new one that gets an id."""
    found = None
    if experiment_id is not None:
        found = queries.experiment(request.organisation, experiment_id)
        if found is None:
            raise Http404("No such experiment.")
    form = ExperimentForm(request.POST or None, organisation=request.organisation, instance=found)
    if request.method == "POST" and form.is_valid():
        try:
            # Read anew: the form has put its values into the instance already.
            kept = queries.experiment(request.organisation, experiment_id) if experiment_id is not None else None
            if kept is None:
                kept = services.new_experiment(
                    organisation=request.organisation, actor=actor_of(request), **form.given()
                )
            else:
                services.register(experiment=kept, actor=actor_of(request), **form.given())
        except ValidationError as error:
            report_errors(form, error, {"pue_ppm": "pue"})
        else:
            messages.success(request, "The experiment is registered. Figures of its past runs follow within a minute.")
            return redirect("codecarbon-experiment", request.organisation.slug, kept.pk)
    context = {
        "form": form,
        "experiment": found,
        "endpoint": request.build_absolute_uri("/api/codecarbon"),
        "runs": queries.runs(found) if found else [],
        "is_public": found is not None and found.experiment_id == PUBLIC_EXPERIMENT,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "telemetry/codecarbon/experiment.html", context, status=status)
