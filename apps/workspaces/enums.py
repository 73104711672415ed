from django.db import models


class DeploymentModel(models.TextChoices):
    PLATFORM = "PLATFORM", "Platform"
    SAAS = "SAAS", "SaaS"
    BYOC = "BYOC", "Bring your own cloud"
    HYBRID = "HYBRID", "Hybrid"
