from importlib import import_module

from django.apps import AppConfig

from apps.audit.offers import offer


class ComplianceConfig(AppConfig):
    name = "apps.compliance"
    label = "compliance"

    def ready(self) -> None:
        import_module("apps.compliance.regions")  # puts the page's live region into the register
        from apps.compliance import anchors
        from apps.compliance.models import LegalHold

        # On the trail's page: which entries must not go.
        offer("hold", lambda scope: ((hold.pk, hold.what) for hold in LegalHold.objects.visible_in(scope).standing()))
        # On the seals' page: where checkpoints are besides here.
        offer("anchor", lambda scope: ((anchor, str(anchor)) for anchor in anchors.standing(scope)))
