"""Pages of the namespace `releases` that show what approvals and deployments know of a release."""

from django.urls import path

from apps.deployments.views import releases

urlpatterns = [
    path("releases/<slug:service>/<str:version>/", releases.release_detail, name="release-detail"),
]
