from django.urls import include, path

from apps.api import metrics_urls
from apps.approvals import policy_urls
from apps.dashboards import calendar_urls, environment_urls, incident_urls, service_urls
from apps.deployments import release_urls
from apps.policies import urls as policies
from apps.releases import urls as releases

# Pages about a release, a service or a policy that show what stands above them are composed by the app that knows it.
release_pages = [*releases.urlpatterns, *release_urls.urlpatterns, *service_urls.urlpatterns]
policy_pages = [*policies.urlpatterns, *policy_urls.urlpatterns]

urlpatterns = [
    path("", include("apps.dashboards.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.core.urls")),
    path("", include((release_pages, releases.app_name))),
    path("environments/", include((environment_urls.urlpatterns, "environments"))),
    path("calendar/", include((calendar_urls.urlpatterns, calendar_urls.app_name))),
    path("approvals/", include("apps.approvals.urls")),
    path("deployments/", include("apps.deployments.urls")),
    path("incidents/", include((incident_urls.urlpatterns, "incidents"))),
    path("checks/", include("apps.health.urls")),
    path("policies/", include((policy_pages, policies.app_name))),
    path("audit/", include("apps.audit.urls")),
    path("compliance/", include("apps.compliance.urls")),
    path("api/", include("apps.api.urls")),
    path("", include(metrics_urls)),
]

handler404 = "apps.core.views.not_found"
handler500 = "apps.core.views.broken"
