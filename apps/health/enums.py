from django.db import models


class CheckKind(models.TextChoices):
    """What is asked of an address, told by how it begins."""

    HTTP = "HTTP", "HTTP"
    TCP = "TCP", "TCP"
    TLS = "TLS", "TLS expiry"


KIND_OF = {"http": CheckKind.HTTP, "https": CheckKind.HTTP, "tcp": CheckKind.TCP, "tls": CheckKind.TLS}
