"""Pages of the namespace `releases` that show where a service runs: composed here, since deployments stand above it."""

from django.urls import path

from apps.dashboards.views import services

urlpatterns = [
    path("services/", services.service_list, name="service-list"),
    path("services/new/", services.service_create, name="service-create"),
    path("services/<slug:slug>/", services.service_detail, name="service-detail"),
]
