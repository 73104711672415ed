from django.db import models


class Theme(models.TextChoices):
    AUTO = "AUTO", "Follow the system"
    LIGHT = "LIGHT", "Light"
    DARK = "DARK", "Dark"


class FactorKind(models.TextChoices):
    TOTP = "TOTP", "Authenticator app"
    PASSKEY = "PASSKEY", "Passkey"


class Proof(models.TextChoices):
    """By what somebody confirmed that it is them; the labels follow "confirmed with"."""

    PASSKEY = "PASSKEY", "a passkey"
    TOTP = "TOTP", "an authenticator app"
    RECOVERY_CODE = "RECOVERY_CODE", "a recovery code"
    PASSWORD = "PASSWORD", "the password"


class Capability(models.TextChoices):
    """What a role lets somebody do in the workspaces where they hold it."""

    RELEASE_CREATE = "RELEASE_CREATE", "create, seal and retire releases"
    PROMOTION_REQUEST = "PROMOTION_REQUEST", "ask for a promotion"
    PROMOTION_DECIDE = "PROMOTION_DECIDE", "approve or reject for their role"
    DEPLOYMENT_OPERATE = "DEPLOYMENT_OPERATE", "cancel a deployment, resolve an unknown one, lift holds"
    DEPLOYMENT_ROLL_BACK = "DEPLOYMENT_ROLL_BACK", "roll back"
    ENVIRONMENT_MANAGE = "ENVIRONMENT_MANAGE", "create and destroy environments, claim resources, set windows"
    FREEZE = "FREEZE", "freeze and unfreeze"
    CONFIGURE = "CONFIGURE", "write configuration versions"
    QUARANTINE = "QUARANTINE", "quarantine a release and lift it"
    INCIDENT_HANDLE = "INCIDENT_HANDLE", "declare incidents, note what happens and resolve them"
    POLICY_CHANGE = "POLICY_CHANGE", "propose policies, and decide on those of others"
    AUDIT_READ = "AUDIT_READ", "read the audit trail"
    AUDIT_EXPORT = "AUDIT_EXPORT", "export the audit trail"
    AUDIT_KEEP = "AUDIT_KEEP", "decide how long the audit trail is kept, hold entries, and erase people's data"
