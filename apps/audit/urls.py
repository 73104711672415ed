from django.urls import path

from apps.audit import views

app_name = "audit"

urlpatterns = [
    path("", views.event_list, name="event-list"),
    path("exports/", views.export_create, name="export-create"),
    path("<uuid:event_id>/", views.event_detail, name="event-detail"),
]
