"""Pages of the namespace `incidents`: composed here, since deployments stand above them."""

from django.urls import path

from apps.dashboards.views import incidents

urlpatterns = [
    path("", incidents.incident_list, name="incident-list"),
    path("new/", incidents.incident_create, name="incident-create"),
    path("<int:number>/", incidents.incident_detail, name="incident-detail"),
    path("<int:number>/notes/", incidents.note_create, name="note-create"),
    path("<int:number>/deployments/", incidents.deployment_link, name="deployment-link"),
    path("<int:number>/severity/", incidents.severity_change, name="severity-change"),
    path("<int:number>/call/", incidents.call_repeat, name="call-repeat"),
    path("<int:number>/debts/<uuid:debt_id>/", incidents.debt_pay, name="debt-pay"),
    path("<int:number>/resolution/", incidents.resolution, name="resolution"),
]
