"""Pages of sources that need the accounts too: their health, and one source with its meters."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.core.exports import csv_response
from apps.core.units import PPM, kwh
from apps.dashboards import source_detail, source_health
from apps.organisations.pages import PageRequest, actor_of, first_error, requires
from apps.organisations.roles import Capability
from apps.telemetry import queries
from apps.telemetry.meters import services
from apps.telemetry.models import Meter, MeterKind, Quantity, StartPolicy

PER_PAGE = 100
CSV_COLUMNS = (
    "source",
    "device",
    "within",
    "precedence",
    "door",
    "site",
    "state",
    "last_reading_at",
    "readings_last_hour",
    "coverage_percent_24h",
    "duplicates",
    "conflicts",
    "set_aside_kwh_30d",
    "findings_30d",
)


class MeterForm(forms.ModelForm):  # type: ignore[type-arg]
    """How the readings of a meter are understood. Of a gauge, only what concerns gauges is asked."""

    pue = forms.DecimalField(
        label="PUE included already",
        min_value=1,
        max_value=10,
        decimal_places=6,
        help_text="1, unless the client multiplies its energy with a PUE; then that, and it is divided out again.",
    )

    class Meta:
        model = Meter
        fields = ["start_policy", "power_cap_w", "interval_s", "longest_gap_s", "wraps_at"]
        labels = {
            "start_policy": "First value, and a value after a reset",
            "power_cap_w": "Largest power of the device [W]",
            "interval_s": "Usual time between readings [s]",
            "longest_gap_s": "Longest silence to carry a power over [s]",
            "wraps_at": "Value at which the counter goes back to 0",
        }

    def __init__(self, data: Any = None, *, instance: Meter) -> None:
        initial = {"pue": f"{instance.pue_included_ppm / PPM:g}"}
        super().__init__(data, instance=instance, initial=initial, prefix=f"meter-{instance.pk}")
        if instance.kind == MeterKind.GAUGE:
            del self.fields["start_policy"], self.fields["wraps_at"]
        else:
            del self.fields["longest_gap_s"]
        if instance.quantity != Quantity.ENERGY:
            del self.fields["power_cap_w"], self.fields["pue"]
        if "start_policy" in self.fields:
            self.fields["start_policy"].choices = [  # type: ignore[attr-defined]
                (policy.value, policy.label[0].upper() + policy.label[1:]) for policy in StartPolicy
            ]

    def changes(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        if "pue" in given:
            given["pue_included_ppm"] = round(given.pop("pue") * PPM)
        return given


@requires(Capability.READ)
@require_GET
def health(request: PageRequest) -> HttpResponse:
    """Every source with how it is doing; as CSV too."""
    asked = {
        "search": request.GET.get("q", "").strip(),
        "door": request.GET.get("door", ""),
        "silent": "silent" in request.GET,
    }
    rows = source_health.sources(request.organisation, **asked)  # type: ignore[arg-type]
    if request.GET.get("format") == "csv":
        return _health_csv(request, list(rows))
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    query = {"q": asked["search"], "door": asked["door"], "silent": "1" if asked["silent"] else ""}
    context = {
        "page": page,
        "rows": source_health.health_of(request.organisation, list(page)),
        "doors": source_health.doors(request.organisation),
        "asked": asked,
        "query": urlencode({name: value for name, value in query.items() if value}),
    }
    return render(request, "dashboards/source_health.html", context)


def _health_csv(request: PageRequest, rows: list[Any]) -> HttpResponse:
    found = [
        one
        for first in range(0, len(rows), PER_PAGE)
        for one in source_health.health_of(request.organisation, rows[first : first + PER_PAGE])
    ]
    lines = (
        (
            one.source.name,
            one.source.device,
            one.source.within,
            one.source.precedence,
            one.source.door,
            one.source.site.code if one.source.site else "",
            one.state.value,
            one.last_seen_at.isoformat() if one.last_seen_at else "",
            one.rate,
            None if one.coverage_percent is None else round(one.coverage_percent, 1),
            one.source.duplicates,
            one.source.conflicts,
            kwh(one.set_aside_milliwatt_hours),
            one.findings,
        )
        for one in found
    )
    return csv_response(f"{request.organisation.slug}-sources", CSV_COLUMNS, lines)


@requires(Capability.READ)
@require_GET
def source(request: PageRequest, source_id: int) -> HttpResponse:
    return _source_page(request, source_id)


def _source_page(request: PageRequest, source_id: int, bound: MeterForm | None = None) -> HttpResponse:
    found = queries.source(request.organisation, source_id)
    if found is None:
        raise Http404("No such source.")
    detail = source_detail.source_detail(request.organisation, found)
    meters = [
        (one, bound if bound is not None and bound.instance.pk == one.meter.pk else MeterForm(instance=one.meter))
        for one in detail.meters
    ]
    context = {"source": found, "detail": detail, "meters": meters, "health": detail.health}
    return render(request, "dashboards/source.html", context, status=200 if bound is None else 422)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def change_meter(request: PageRequest, meter_id: int) -> HttpResponse:
    """Decide how the readings of a meter are understood."""
    meter = get_object_or_404(Meter.objects.of(request.organisation), pk=meter_id)
    form = MeterForm(request.POST, instance=meter)
    if not form.is_valid():
        return _source_page(request, meter.source_id, form)
    try:
        # Read anew: a form has put its values into the instance already, and the audit log wants the ones before.
        services.change_meter(
            meter=Meter.objects.of(request.organisation).get(pk=meter_id), actor=actor_of(request), **form.changes()
        )
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        messages.success(request, f"{meter.metric} is understood anew. Figures follow within a minute.")
    return redirect("source", request.organisation.slug, meter.source_id)


@requires(Capability.CONNECT)
@require_POST
def set_interval(request: PageRequest, source_id: int) -> HttpResponse:
    """Say how often a source should report."""
    found = queries.source(request.organisation, source_id)
    if found is None:
        raise Http404("No such source.")
    given = request.POST.get("seconds", "").strip()
    try:
        services.set_reporting_interval(
            source=found,
            # What is no whole number is refused with the same words as one out of range.
            seconds=(int(given) if given.isascii() and given.isdigit() else 0) if given else None,
            actor=actor_of(request),
        )
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        messages.success(request, f"Reporting interval of {found.name} saved.")
    return redirect("source", request.organisation.slug, source_id)
