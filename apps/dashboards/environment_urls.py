"""Pages of the namespace `environments`: composed here, since policies, health and configuration stand above them."""

from django.urls import path

from apps.dashboards.views import alerts, environments, records

urlpatterns = [
    path("", environments.environment_list, name="environment-list"),
    path("new/", environments.environment_create, name="environment-create"),
    path("freezes/<uuid:freeze_id>/lift/", environments.freeze_lift, name="freeze-lift"),
    path("resources/<uuid:resource_id>/release/", environments.resource_release, name="resource-release"),
    path("windows/<uuid:window_id>/removal/", environments.window_remove, name="window-remove"),
    path("lanes/<uuid:lane_id>/removal/", environments.lane_remove, name="lane-remove"),
    path("lanes/<uuid:lane_id>/close-watch/end/", environments.close_watch_end, name="close-watch-end"),
    path("lanes/<uuid:lane_id>/configuration/", environments.configuration_list, name="configuration-list"),
    path("lanes/<uuid:lane_id>/configuration/new/", environments.configuration_create, name="configuration-create"),
    path("<slug:workspace>/<slug:slug>/", environments.environment_detail, name="environment-detail"),
    path("<slug:workspace>/<slug:slug>/requirements/", environments.environment_requirements, name="requirement-list"),
    path("<slug:workspace>/<slug:slug>/alerts/", alerts.alert_list, name="alert-list"),
    path("<slug:workspace>/<slug:slug>/data/", records.data_list, name="data-list"),
    path("<slug:workspace>/<slug:slug>/data/new/", records.data_create, name="data-create"),
    path("<slug:workspace>/<slug:slug>/data/removals/new/", records.data_removal, name="data-removal"),
    path("<slug:workspace>/<slug:slug>/recovery/", records.recovery_list, name="recovery-list"),
    path("<slug:workspace>/<slug:slug>/recovery/new/", records.recovery_create, name="recovery-create"),
    path("<slug:workspace>/<slug:slug>/evidence/<uuid:record_id>/", records.evidence, name="record-evidence"),
    path("<slug:workspace>/<slug:slug>/freezes/", environments.freeze_create, name="freeze-create"),
    path("<slug:workspace>/<slug:slug>/close-watches/", environments.close_watch_create, name="close-watch-create"),
    path("<slug:workspace>/<slug:slug>/resources/", environments.resource_create, name="resource-create"),
    path("<slug:workspace>/<slug:slug>/lanes/", environments.lane_create, name="lane-create"),
    path("<slug:workspace>/<slug:slug>/windows/", environments.window_create, name="window-create"),
    path("<slug:workspace>/<slug:slug>/destruction/", environments.environment_destroy, name="environment-destroy"),
    path("<slug:workspace>/<slug:slug>/recreation/", environments.environment_recreate, name="environment-recreate"),
]
