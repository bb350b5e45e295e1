"""API of this room, below ``/api/v1/``."""

from django.urls import re_path

from apps.workloads import api

urlpatterns = [
    re_path(r"^models/?$", api.ModelList.as_view(), name="api-models"),
    re_path(r"^models/(?P<slug>[-\w]+)/?$", api.ModelDetail.as_view(), name="api-model"),
    re_path(r"^workloads/?$", api.WorkloadList.as_view(), name="api-workloads"),
    re_path(r"^workloads/(?P<workload_id>[0-9]{1,18})/?$", api.WorkloadDetail.as_view(), name="api-workload"),
    re_path(r"^studies/?$", api.StudyList.as_view(), name="api-studies"),
    re_path(r"^hardware/?$", api.HardwareList.as_view(), name="api-hardware"),
    re_path(r"^inference-profiles/?$", api.InferenceProfileList.as_view(), name="api-inference-profiles"),
]
