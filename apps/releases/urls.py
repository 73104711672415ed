from django.urls import URLPattern, path

from apps.releases.views import comparisons, events, evidence, releases, support

app_name = "releases"

# The page of one release shows promotions and deployments, so it stands in apps.deployments.release_urls.
urlpatterns: list[URLPattern] = [
    path("releases/", releases.release_list, name="release-list"),
    path("releases/new/", releases.release_create, name="release-create"),
    path("releases/<slug:service>/<str:version>/evidence/", evidence.evidence_list, name="evidence-list"),
    path("releases/<slug:service>/<str:version>/evidence/new/", evidence.evidence_create, name="evidence-create"),
    path(
        "releases/<slug:service>/<str:version>/evidence/<uuid:evidence_id>/original/",
        evidence.evidence_original,
        name="evidence-original",
    ),
    path("releases/<slug:service>/<str:version>/findings/", evidence.finding_list, name="finding-list"),
    path("releases/<slug:service>/<str:version>/parts/", evidence.part_list, name="part-list"),
    path("services/<slug:service>/acceptances/", evidence.acceptance_list, name="acceptance-list"),
    path("services/<slug:service>/api/", comparisons.api_promise_list, name="api-promise-list"),
    path("services/<slug:service>/support/", support.support_list, name="support-list"),
    path("services/<slug:service>/support/ends/", support.end_announce, name="end-announce"),
    path("services/support/ends/<uuid:end_id>/withdrawal/", support.end_withdraw, name="end-withdraw"),
    path("releases/<slug:service>/<str:version>/api/", comparisons.api_comparison, name="api-comparison"),
    path("events/", events.event_list, name="event-list"),
    path("events/consumers/<uuid:consumer_id>/end/", events.consumer_end, name="event-consumer-end"),
    *(
        path(f"services/<slug:service>/events/<str:subject>/<int:number>/{rest}", view, name=name)
        for rest, view, name in (
            ("", events.event_version, "event-version"),
            ("<int:minor>/", events.event_schema, "event-schema"),
            ("consumers/", events.consumer_create, "event-consumer-create"),
            ("drop/", events.version_drop, "event-version-drop"),
        )
    ),
    path("releases/<slug:service>/<str:version>/seal/", releases.release_seal, name="release-seal"),
    path("releases/<slug:service>/<str:version>/quarantine/", releases.release_quarantine, name="release-quarantine"),
    path("releases/<slug:service>/<str:version>/quarantine/lift/", releases.quarantine_lift, name="quarantine-lift"),
    path("releases/<slug:service>/<str:version>/retirement/", releases.release_retire, name="release-retire"),
]
