from django.db import models


class CheckKind(models.TextChoices):
    """What is asked of an address, told by how it begins."""

    HTTP = "HTTP", "HTTP"
    TCP = "TCP", "TCP"
    TLS = "TLS", "TLS expiry"


class TrafficSource(models.TextChoices):
    """Who says what users get."""

    PROXY = "PROXY", "The portal's proxy"
    PROMETHEUS = "PROMETHEUS", "Prometheus"


KIND_OF = {"http": CheckKind.HTTP, "https": CheckKind.HTTP, "tcp": CheckKind.TCP, "tls": CheckKind.TLS}
