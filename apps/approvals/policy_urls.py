"""Pages of the namespace `policies` that show what promotions know of a policy."""

from django.urls import path

from apps.approvals import views

urlpatterns = [
    path("proposals/<uuid:proposal_id>/simulation/", views.proposal_simulation, name="proposal-simulation"),
]
