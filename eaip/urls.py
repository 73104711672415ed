from django.urls import include, path

from apps.deployments import release_urls
from apps.releases import urls as releases

urlpatterns = [
    path("", include("apps.dashboards.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.core.urls")),
    path("", include(([*releases.urlpatterns, *release_urls.urlpatterns], releases.app_name))),
    path("environments/", include("apps.environments.urls")),
    path("approvals/", include("apps.approvals.urls")),
    path("deployments/", include("apps.deployments.urls")),
    path("audit/", include("apps.audit.urls")),
    path("api/", include("apps.api.urls")),
]

