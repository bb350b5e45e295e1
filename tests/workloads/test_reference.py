"""What ships with the repository: figures as published, loaded twice without change."""

from __future__ import annotations

import pytest

from apps.workloads import queries
from apps.workloads.models import EmbodiedFigure, HardwareProfile, InferenceProfile
from apps.workloads.reference import load_embodied_figures, load_hardware_profiles, load_inference_profiles

pytestmark = pytest.mark.django_db


def test_embodied_figures_are_those_of_the_publications() -> None:
    assert load_embodied_figures() == EmbodiedFigure.objects.count()
    figures = queries.embodied_figures()
    assert figures["nvidia-h100-sxm5-80gb"].embodied_g == 164_000  # NVIDIA: 1,312 kg a board of eight
    assert figures["nvidia-a100-sxm4-40gb"].embodied_g == 127_600  # Falk et al.; the share of an instance is another
    assert EmbodiedFigure.objects.filter(hardware_code="nvidia-a100-sxm4-40gb").count() == 2
    for figure in EmbodiedFigure.objects.all():
        assert figure.source_title, figure
        assert figure.licence, figure
        assert figure.boundary.startswith("cradle-to-gate"), figure


def test_accelerators_with_an_embodied_figure_are_profiles_that_readings_can_name() -> None:
    load_hardware_profiles()
    load_embodied_figures()
    codes = set(HardwareProfile.objects.values_list("code", flat=True))
    assert {"nvidia-h100-sxm5-80gb", "nvidia-a100-sxm4-40gb"} <= codes & set(queries.embodied_figures())


def test_energy_per_token_is_the_median_of_the_published_configurations() -> None:
    load_inference_profiles()
    row = InferenceProfile.objects.get(model_name="Qwen/Qwen3-14B", hardware="B200", accelerators=1, task="gpqa")
    assert (row.microjoules_per_token, row.configurations) == (418_060, 5)
    assert row.licence.startswith("Apache-2.0")


def test_loading_again_changes_nothing() -> None:
    def state() -> list[tuple]:
        return [
            *EmbodiedFigure.objects.order_by("pk").values_list(),
            *InferenceProfile.objects.order_by("pk").values_list(),
        ]

    load_embodied_figures()
    load_inference_profiles()
    first = state()
    load_embodied_figures()
    load_inference_profiles()
    assert state() == first
