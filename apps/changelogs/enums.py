from django.db import models


class ChangeKind(models.TextChoices):
    FEATURE = "FEATURE", "Feature"
    FIX = "FIX", "Fix"
    PERFORMANCE = "PERFORMANCE", "Performance"
    DOCUMENTATION = "DOCUMENTATION", "Docs"
    DEPENDENCY = "DEPENDENCY", "Deps"
    OTHER = "OTHER", "Other"
