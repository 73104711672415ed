from django.urls import path

from apps.health import views

app_name = "health"

urlpatterns = [
    path("lanes/<uuid:lane_id>/", views.check_list, name="check-list"),
    path("lanes/<uuid:lane_id>/new/", views.check_create, name="check-create"),
    path("lanes/<uuid:lane_id>/queries/", views.queries, {"of_service": False}, name="lane-queries"),
    path("lanes/<uuid:lane_id>/queries/service/", views.queries, {"of_service": True}, name="service-queries"),
    path("<uuid:check_id>/", views.check_detail, name="check-detail"),
    path("<uuid:check_id>/change/", views.check_change, name="check-change"),
    path("<uuid:check_id>/removal/", views.check_remove, name="check-remove"),
]
