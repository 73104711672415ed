from django.urls import path

from apps.audit import views

app_name = "audit"

urlpatterns = [
    path("", views.event_list, name="event-list"),
    path("filters/", views.saved_filter_create, name="saved-filter-create"),
    path("filters/<uuid:filter_id>/", views.saved_filter_detail, name="saved-filter-detail"),
    path("filters/<uuid:filter_id>/name/", views.saved_filter_rename, name="saved-filter-rename"),
    path("filters/<uuid:filter_id>/owner/", views.saved_filter_take_over, name="saved-filter-take-over"),
    path("filters/<uuid:filter_id>/removal/", views.saved_filter_remove, name="saved-filter-remove"),
    path("seals/", views.seal_list, name="seal-list"),
    path("seals/<uuid:checkpoint_id>/note", views.seal_note, name="seal-note"),
    path("<uuid:event_id>/", views.event_detail, name="event-detail"),
    path("<uuid:event_id>/entry.json", views.event_bytes, name="event-bytes"),
    path("<uuid:event_id>/proof", views.event_proof, name="event-proof"),
]
