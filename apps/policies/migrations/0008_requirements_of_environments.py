"""What Staging and Production have to be themselves, as the deployment policies say it, with their numbers.

Only where the policy in force is the one that was shipped: what people wrote themselves stays as they wrote it. No clause
asks for the gate, so nothing is held back; a requirement is no clause, so no approval is void.
"""

from importlib import import_module

from django.db import migrations
from django.utils import timezone

shipped = import_module("apps.policies.migrations.0003_policies_of_the_tiers")

REASON = "What Staging and Production have to be themselves, as the deployment policies say it."


def need(name, text, where, **rule):
    return {"id": name, "text": text, "source": f"{shipped.POLICIES}, {where}", **rule}


def enabled(name, text, where, key, **more):
    return need(name, text, where, key=key, **{"is": "enabled"}, **more)


AVAILABILITY, SECURITY = "Production: high availability", "Production: security requirements"
CONFIGURED, ACCESS = "Production: configuration", "Staging: access control"
NEEDS = {
    "STAGING": [
        need("replicas", "Each service runs.", "Staging: configuration", key="REPLICAS", each=True, least=1),
        need(
            "capacity",
            "Each service has half of what it has in Production.",
            "Staging: requirements",
            key="CAPACITY",
            each=True,
            least_percent_of_production=50,
        ),
        enabled("basic-auth", "All endpoints ask for a name and a password.", ACCESS, "BASIC_AUTH"),
        enabled("vpn", "Direct access goes through the VPN.", ACCESS, "VPN"),
        need(
            "access",
            "Only development and QA have access.",
            ACCESS,
            key="ACCESS_LIMITED_TO",
            among=["development", "qa"],
        ),
        need(
            "monitoring-stack",
            "The monitoring stack is that of Production.",
            "Staging: monitoring",
            key="MONITORING_STACK",
            as_in_production=True,
        ),
        need(
            "alert-thresholds",
            "Alerts fire earlier than in Production.",
            "Staging: monitoring",
            key="ALERT_ERROR_PERCENT",
            below_production=True,
        ),
        need(
            "monitoring-retention",
            "Monitoring data are kept for a week.",
            "Staging: configuration",
            key="MONITORING_RETENTION",
            least_days=7,
        ),
        need(
            "backup-frequency",
            "There is a backup every week.",
            "Staging: configuration",
            key="BACKUP_FREQUENCY",
            every="weekly",
        ),
    ],
    "PRODUCTION": [
        need("replicas", "Each service has three replicas.", AVAILABILITY, key="REPLICAS", each=True, least=3),
        need("autoscaling-from", "Scaling starts at three replicas.", CONFIGURED, key="AUTOSCALING_MIN", least=3),
        need("autoscaling-to", "Scaling ends at ten replicas.", CONFIGURED, key="AUTOSCALING_MAX", most=10),
        need("zones", "It runs in more than one zone.", AVAILABILITY, key="ZONES", least=2),
        enabled("capacity", "Its resources are guaranteed.", CONFIGURED, "RESOURCES_GUARANTEED"),
        enabled("database-replication", "The database is replicated.", AVAILABILITY, "DATABASE_REPLICATION"),
        enabled("redis-sentinel", "Redis Sentinel takes over.", AVAILABILITY, "REDIS_SENTINEL"),
        enabled("encryption-at-rest", "All data are encrypted at rest.", SECURITY, "ENCRYPTION_AT_REST"),
        need("tls", "All communication uses TLS 1.2 or later.", SECURITY, least_tls="1.2"),
        enabled("waf", "A web application firewall stands before it.", SECURITY, "WAF"),
        enabled("ddos-protection", "DDoS protection is active.", SECURITY, "DDOS_PROTECTION"),
        need("rate-limiting", "Rate limiting is strict.", CONFIGURED, key="RATE_LIMITING", **{"is": "strict"}),
        need(
            "debug-endpoints",
            "No service has debug endpoints.",
            "Staging: configuration",
            key="DEBUG_ENDPOINTS",
            each=True,
            **{"is": "disabled"},
        ),
        need(
            "monitoring-retention",
            "Monitoring data are kept for 90 days.",
            CONFIGURED,
            key="MONITORING_RETENTION",
            least_days=90,
        ),
        need("backup-frequency", "There is a backup every day.", CONFIGURED, key="BACKUP_FREQUENCY", every="daily"),
        need(
            "backup-replication",
            "Backups are replicated to another region.",
            CONFIGURED,
            key="BACKUP_REPLICATION",
            **{"is": "cross_region"},
        ),
    ],
}


def add_versions(apps, schema_editor):
    """Where the portal is in use, the trail tells of it; to a new one, its first policies just come."""
    is_new = not apps.get_model("accounts", "User").objects.exists()
    if is_new:
        schema_editor.execute("ALTER TABLE policies_policyversion DISABLE TRIGGER audit_net_past")
    _add_versions(apps, schema_editor)
    if is_new:
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("ALTER TABLE policies_policyversion ENABLE ALWAYS TRIGGER audit_net_past")


def _add_versions(apps, schema_editor):
    version = apps.get_model("policies", "PolicyVersion")
    shipped.enter_scope(schema_editor)
    for tier, needs in NEEDS.items():
        # What came with the portal was made by nobody.
        in_force = version.objects.filter(tier=tier, is_active=True, created_by=None).first()
        if in_force is None:
            continue
        document = {**in_force.document, "requirements": needs}
        version.objects.filter(pk=in_force.pk).update(is_active=False)
        version.objects.create(
            workspace_id=in_force.workspace_id,
            tier=tier,
            number=in_force.number + 1,
            document=document,
            digest=shipped.digest_of(document),
            reason=REASON,
            created_at=timezone.now(),
            is_active=True,
        )


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0007_commits"),
        ("accounts", "0008_keepers_of_the_trail"),
        ("audit", "0006_net"),
    ]

    operations = [migrations.RunPython(add_versions, migrations.RunPython.noop)]
