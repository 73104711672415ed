from django.urls import path

from apps.audit import views

app_name = "audit"

urlpatterns = [
    path("", views.event_list, name="event-list"),
    path("exports/", views.export_create, name="export-create"),
    path("seals/", views.seal_list, name="seal-list"),
    path("seals/<uuid:checkpoint_id>/note", views.seal_note, name="seal-note"),
    path("<uuid:event_id>/", views.event_detail, name="event-detail"),
    path("<uuid:event_id>/entry.json", views.event_bytes, name="event-bytes"),
    path("<uuid:event_id>/proof", views.event_proof, name="event-proof"),
]
