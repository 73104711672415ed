from django.urls import path

from apps.approvals import views

app_name = "approvals"

urlpatterns = [
    path("", views.inbox_page, name="inbox"),
    path("unanswered/", views.unanswered_list, name="unanswered-list"),
    path("delegations/", views.delegations, name="delegation-list"),
    path("delegations/<uuid:delegation_id>/end/", views.delegation_end, name="delegation-end"),
    path("promotions/<int:number>/", views.promotion_detail, name="promotion-detail"),
    path("promotions/<int:number>/decisions/", views.decision_create, name="decision-create"),
    path("promotions/<int:number>/waivers/<slug:gate>/", views.waiver_create, name="waiver-create"),
    path("waivers/<uuid:waiver_id>/withdrawal/", views.waiver_withdrawal, name="waiver-withdrawal"),
    path("lines/<uuid:line_id>/ticks/", views.tick_create, name="tick-create"),
    path("ticks/<uuid:tick_id>/withdrawal/", views.tick_withdrawal, name="tick-withdrawal"),
    path("promotions/<int:number>/withdrawal/", views.withdrawal, name="withdrawal"),
    path("findings/<uuid:finding_id>/acceptance/", views.finding_acceptance, name="finding-acceptance"),
    path("acceptances/<uuid:acceptance_id>/withdrawal/", views.acceptance_withdrawal, name="acceptance-withdrawal"),
    path("releases/<uuid:release_id>/traits/", views.trait_create, name="trait-create"),
    path("promotions/<uuid:release_id>/to/<uuid:lane_id>/", views.promotion_create, name="promotion-create"),
]
