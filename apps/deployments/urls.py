from django.urls import path

from apps.deployments.views import deployments, operations, rollouts

app_name = "deployments"

urlpatterns = [
    path("", deployments.deployment_list, name="deployment-list"),
    path("<int:number>/", deployments.deployment_detail, name="deployment-detail"),
    path("<int:number>/log.txt", deployments.log_raw, name="log-raw"),
    path("<int:number>/cancellation/", operations.cancellation, name="cancellation"),
    path("<int:number>/rollback/", operations.rollback, name="rollback"),
    path("<int:number>/report/", operations.report, name="report"),
    path("<int:number>/look/", operations.look_again, name="look-again"),
    path("<int:number>/abandonment/", operations.abandonment, name="abandonment"),
    path("<int:number>/hold/", operations.hold_lift, name="hold-lift"),
    path("roll-outs/", rollouts.rollout_list, name="rollout-list"),
    path("roll-outs/new/<uuid:release_id>/in/<slug:workspace>/", rollouts.rollout_create, name="rollout-create"),
    path("roll-outs/<int:number>/", rollouts.rollout_detail, name="rollout-detail"),
    path("roll-outs/<int:number>/pause/", rollouts.rollout_pause, name="rollout-pause"),
    path("roll-outs/<int:number>/resumption/", rollouts.rollout_resume, name="rollout-resume"),
    path("roll-outs/<int:number>/next-wave/", rollouts.wave_release, name="wave-release"),
    path("roll-outs/<int:number>/stop/", rollouts.rollout_stop, name="rollout-stop"),
    path("roll-outs/<int:number>/parts/<slug:workspace>/", rollouts.rollout_part, name="rollout-part"),
    path("promotions/<uuid:promotion_id>/start/", operations.deployment_create, name="deployment-create"),
]
