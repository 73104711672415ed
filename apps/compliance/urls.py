from django.urls import path

from apps.compliance.views import access, controls, dossiers, exports, population, reviews, streams

app_name = "compliance"
urlpatterns = [
    path("", controls.overview, name="overview"),
    path("controls/export/", controls.mapping_export, name="mapping-export"),
    path("controls/<slug:framework>/<slug:control>/", controls.control, name="control"),
    path("reviews/", reviews.review_list, name="review-list"),
    path("reviews/usual/", reviews.review_setup, name="review-setup"),
    path("reviews/<uuid:review_id>/", reviews.review_detail, name="review-detail"),
    path("reviews/<uuid:review_id>/end/", reviews.review_end, name="review-end"),
    path("access/", access.access_list, name="access"),
    path("access/export/", access.access_export, name="access-export"),
    path("access/reviews/<uuid:review_id>/", access.access_review, name="access-review"),
    path("exports/", exports.export_list, name="export-list"),
    path("exports/<uuid:export_id>/", exports.export_detail, name="export-detail"),
    path("exports/<uuid:export_id>/file", exports.export_download, name="export-download"),
    path("exports/<uuid:export_id>/manifest.json", exports.export_manifest, name="export-manifest"),
    path("exports/<uuid:export_id>/cancellation/", exports.export_cancel, name="export-cancel"),
    path("streams/", streams.stream_list, name="stream-list"),
    path("streams/<uuid:stream_id>/", streams.stream_detail, name="stream-detail"),
    path("streams/<uuid:stream_id>/pause/", streams.stream_pause, name="stream-pause"),
    path("streams/<uuid:stream_id>/resumption/", streams.stream_resume, name="stream-resume"),
    path("streams/<uuid:stream_id>/beginning/", streams.stream_rewind, name="stream-rewind"),
    path("streams/<uuid:stream_id>/replay/", streams.stream_replay, name="stream-replay"),
    path("streams/<uuid:stream_id>/secret/", streams.stream_secret, name="stream-secret"),
    path("streams/<uuid:stream_id>/removal/", streams.stream_remove, name="stream-remove"),
    path("population/", population.population_list, name="population"),
    path("population/export/", population.population_export, name="population-export"),
    path("dossiers/", dossiers.period_page, name="dossier-period"),
    path("dossiers/copy/", dossiers.period_copy, name="dossier-period-copy"),
    path("dossiers/deployments/<int:number>/", dossiers.deployment_page, name="dossier-deployment"),
    path("dossiers/deployments/<int:number>/copy/", dossiers.deployment_copy, name="dossier-deployment-copy"),
    path("dossiers/releases/<slug:service>/<str:version>/", dossiers.release_page, name="dossier-release"),
    path("dossiers/releases/<slug:service>/<str:version>/copy/", dossiers.release_copy, name="dossier-release-copy"),
]
