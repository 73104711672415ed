from django.urls import path

from apps.deployments.views import deployments, operations

app_name = "deployments"

urlpatterns = [
    path("", deployments.deployment_list, name="deployment-list"),
    path("<int:number>/", deployments.deployment_detail, name="deployment-detail"),
    path("<int:number>/log.txt", deployments.log_raw, name="log-raw"),
    path("<int:number>/cancellation/", operations.cancellation, name="cancellation"),
    path("<int:number>/rollback/", operations.rollback, name="rollback"),
    path("<int:number>/abandonment/", operations.abandonment, name="abandonment"),
    path("<int:number>/hold/", operations.hold_lift, name="hold-lift"),
    path("promotions/<uuid:promotion_id>/start/", operations.deployment_create, name="deployment-create"),
]
