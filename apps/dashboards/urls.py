from django.urls import path

from apps.dashboards.views import dashboard

app_name = "dashboards"

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
]
