"""Pages of this room, below ``/o/<organisation>/``."""

from django.urls import path

from apps.organisations import audit_views, views

urlpatterns = [
    path("settings/", views.settings_page, name="settings-organisation"),
    path("settings/people/", views.people, name="people"),
    path("settings/people/<int:membership_id>/role/", views.person_role, name="person-role"),
    path("settings/people/<int:membership_id>/remove/", views.person_remove, name="person-remove"),
    path("settings/people/<int:membership_id>/invite/", views.person_invite_again, name="person-invite-again"),
    path("settings/teams/", views.teams, name="settings-teams"),
    path("settings/teams/<slug:team_slug>/", views.team_edit, name="team-edit"),
    path("settings/keys/", views.keys, name="settings-keys"),
    path("settings/keys/<int:key_id>/revoke/", views.key_revoke, name="key-revoke"),
    # The audit room stands below organisations, so its pages cannot stand in it.
    path("audit/", audit_views.audit_log, name="audit-log"),
    path("audit/csv/", audit_views.audit_csv, name="audit-csv"),
]
