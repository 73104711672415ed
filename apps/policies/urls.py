from django.urls import path

from apps.policies import views

app_name = "policies"

urlpatterns = [
    path("", views.policy_list, name="policy-list"),
    path("proposals/<uuid:proposal_id>/", views.proposal_detail, name="proposal-detail"),
    path("proposals/<uuid:proposal_id>/decision/", views.proposal_decision, name="proposal-decision"),
    path("strategy/", views.strategy, name="strategy"),
    path("strategy/strategy.md", views.strategy_markdown, name="strategy-markdown"),
    path("strategy/strategy.pdf", views.strategy_pdf, name="strategy-pdf"),
    path("<slug:tier>/", views.policy_detail, name="policy-detail"),
    path("<slug:tier>/propose/", views.proposal_create, name="proposal-create"),
    path("<slug:tier>/commits/<slug:commit>/", views.commit_propose, name="commit-propose"),
    path("<slug:tier>/versions/<int:number>/", views.policy_detail, name="policy-version"),
    path("<slug:tier>/versions/<int:number>/source/", views.policy_source, name="policy-source"),
]
