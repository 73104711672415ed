from django.urls import path

from apps.api import views

app_name = "api"

urlpatterns = [
    path("v1/admission/<str:cluster>", views.admission, name="admission"),
    path("v1/audit/checkpoint", views.checkpoint, name="checkpoint"),
    path("v1/audit/consistency", views.consistency, name="consistency"),
    path("v1/audit/cosignatures", views.cosignatures, name="cosignatures"),
    path("v1/environments/<slug:slug>/recovery", views.recovery_records, name="recovery-records"),
    path("v1/environments/<slug:slug>/refreshes", views.data_refreshes, name="data-refreshes"),
    path("v1/environments/<slug:slug>/removals", views.data_removals, name="data-removals"),
    path("v1/exports", views.exports, name="exports"),
    path("v1/exports/<uuid:export_id>", views.export, name="export"),
    path("v1/exports/<uuid:export_id>/file", views.export_file, name="export-file"),
    path("v1/deployments/<int:number>/dossier", views.deployment_dossier, name="deployment-dossier"),
    path("v1/releases", views.releases, name="releases"),
    path("v1/releases/<slug:service>/<str:version>", views.release, name="release"),
    path("v1/releases/<slug:service>/<str:version>/evidence", views.evidence, name="evidence"),
    path("v1/releases/<slug:service>/<str:version>/dossier", views.release_dossier, name="release-dossier"),
    path("v1/services/<slug:service>/consumes/<str:subject>/<int:number>", views.event_consumer, name="event-consumer"),
    path("v1/webhooks/alertmanager", views.alertmanager_webhook, name="alertmanager-webhook"),
    path("v1/webhooks/git/<slug:slug>", views.git_webhook, name="git-webhook"),
]
