from django.urls import include, path

urlpatterns = [
    path("", include("apps.dashboards.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.core.urls")),
    path("", include("apps.releases.urls")),
    path("environments/", include("apps.environments.urls")),
    path("approvals/", include("apps.approvals.urls")),
    path("deployments/", include("apps.deployments.urls")),
    path("audit/", include("apps.audit.urls")),
    path("api/", include("apps.api.urls")),
]

