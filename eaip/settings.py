"""One settings module; installations differ by environment variables alone (docs/runbooks/running.md)."""

from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from eaip import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.path("EAIP_DATA_DIR", BASE_DIR / ".run")

DEBUG = env.flag("DEBUG")
DEMONSTRATION = env.flag("DEMONSTRATION")
# Told to everybody who starts the demonstration, and on its sign-in page.
DEMONSTRATION_PASSWORD = env.text("DEMONSTRATION_PASSWORD", "eaip-demonstration")
SECRET_KEY = env.text("SECRET_KEY", "not-secret-only-for-management-commands" if DEBUG else None)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
HTTPS = env.flag("HTTPS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "django_htmx",
    "django_filters",
    "template_partials",
    "guardian",
    "auditlog",
    "apps.core",
    "apps.audit",
    "apps.integrations",
    "apps.accounts",
    "apps.workspaces",
    "apps.environments",
    "apps.configuration",
    "apps.releases",
    "apps.changelogs",
    "apps.incidents",
    "apps.health",
    "apps.policies",
    "apps.approvals",
    "apps.deployments",
    "apps.compliance",
    "apps.dashboards",
    "apps.api",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "eaip.middleware.TimingMiddleware",
    "apps.core.middleware.ContentSecurityPolicyMiddleware",
    "eaip.middleware.RefusalMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.core.middleware.LoginRequiredMiddleware",
    "apps.workspaces.middleware.ScopeMiddleware",
    "apps.core.middleware.TimeZoneMiddleware",
    "apps.core.middleware.AddressMiddleware",
    "apps.core.middleware.BodyLimitMiddleware",
    "apps.core.middleware.VerdictMiddleware",
]

ROOT_URLCONF = "eaip.urls"
WSGI_APPLICATION = "eaip.wsgi.application"
WEB_THREADS = int(env.number("WEB_THREADS", 3))  # of each process: more would only wait for Python's lock
# Live streams (docs/adr/0030-live-endpoint.md).
LIVE_THREADS = int(env.number("LIVE_THREADS", 2))
LIVE_INTERVAL = env.number("LIVE_INTERVAL_SECONDS", 1)
LIVE_BEAT = env.number("LIVE_BEAT_SECONDS", 15)
LIVE_RECHECK = env.number("LIVE_RECHECK_SECONDS", 30)
LIVE_STREAMS_PER_PERSON = int(env.number("LIVE_STREAMS_PER_PERSON", 40))
FORM_RENDERER = "apps.core.forms.PortalFormRenderer"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.context_processors.frame",
                "apps.dashboards.context_processors.navigation",
            ],
            "builtins": ["apps.core.templatetags.portal", "django.templatetags.static"],
        },
    },
]

# The application's role owns nothing and can't pass row-level security; migrations run as the owner.
DATABASE_URL = env.text("DATABASE_URL", "postgresql://eaip_app@127.0.0.1:5432/eaip" if DEBUG else None)
# Only what asks for it by `prepare=True` is prepared; a pooler in transaction mode must keep such statements apart.
PREPARE = 1_000_000 if env.flag("DATABASE_PREPARES", default=True) else None
# Joins follow the foreign keys that they are written along; to weigh every order of a dozen of them took the database
# longer than to carry out the best one.
JOINS = "-c join_collapse_limit=4"
DATABASES = {
    "default": {
        **env.database(DATABASE_URL, prepare_threshold=PREPARE, options=JOINS),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
# Less than ENGINE_LEASE, so that a worker that stands still keeps nobody from taking over.
TRANSACTION_SILENCE = env.seconds("TRANSACTION_SILENCE_SECONDS", 20)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "dashboards:dashboard"
LOGOUT_REDIRECT_URL = "accounts:sign-in"

ANONYMOUS_USER_NAME = None  # guardian: no row that stands for "nobody"
GUARDIAN_MONKEY_PATCH_USER = False

AUDITLOG_LOGENTRY_MODEL = "audit.FieldHistory"
AUDITLOG_DISABLE_REMOTE_ADDR = True  # its reading of X-Forwarded-For can be forged
AUDITLOG_DISABLE_ON_RAW_SAVE = True
AUDITLOG_INCLUDE_TRACKING_MODELS = (
    {"model": "accounts.User", "exclude_fields": ["password", "last_login"]},
    "workspaces.Membership",
    "environments.Environment",
    "environments.Freeze",
    "environments.Window",
    "releases.Service",
)

SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
X_FRAME_OPTIONS = "DENY"
# Named as in Django 6, which has this built in.
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
# How many proxies of ours stand before the portal, and the networks that they ask from: others are not believed.
TRUSTED_PROXY_DEPTH = int(env.number("TRUSTED_PROXY_DEPTH", 0))
TRUSTED_PROXY_NETWORKS = env.words(
    "TRUSTED_PROXY_NETWORKS", "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
)
# The largest report (apps.releases.reports.LIMIT) and the form around it.
BODY_LIMIT = 17 << 20
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}

# Mail is sent where a server is named; it, and what PagerDuty is told, must say where its links lead.
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = int(env.number("EMAIL_PORT", 587))
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "eaip@localhost")
# Whose incidents PagerDuty is told of: `workspace=/path/of/a/connection`, with commas (docs/runbooks/running.md).
PAGERDUTY = {name: Path(path) for name, path in env.pairs("EAIP_PAGERDUTY").items()}
PORTAL_URL = env.text("PORTAL_URL", None if EMAIL_HOST or PAGERDUTY else "").rstrip("/")

# Celery carries hints only: what is lost, repeated or late costs seconds, never truth (docs/adr).
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "hints"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "max_retries": 0,
    "ack_emulation": False,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A hint is short, and to connect anew for each costs more than most of them: connections last as CONN_MAX_AGE says
# (eaip/celery.py). Celery, which closes them after each task, is left no turn to.
CELERY_DB_REUSE_MAX = 2**62

# Clocks of the engine (ADR 0020). Tests run with seconds, `make reliability` with these.
ENGINE_LEASE = env.seconds("ENGINE_LEASE_SECONDS", 30)
ENGINE_BEAT = env.seconds("ENGINE_BEAT_SECONDS", 5)
ENGINE_GUARD_SILENCE = env.seconds("ENGINE_GUARD_SILENCE_SECONDS", 20)
ENGINE_SWEEP = env.seconds("ENGINE_SWEEP_SECONDS", 5)
# What changes a gate has it judged at once; only what the clock alone brings (a window, a soak) waits for this.
ENGINE_JUDGE = env.seconds("ENGINE_JUDGE_SECONDS", 15)
ENGINE_UNCLAIMED = env.seconds("ENGINE_UNCLAIMED_SECONDS", 4)
ENGINE_APPLY_LIMIT = env.seconds("ENGINE_APPLY_LIMIT_SECONDS", 600)
# From its beginning on, whoever has it: "at most 15 minutes" (DEP-9).
ENGINE_ROLLBACK_LIMIT = env.seconds("ENGINE_ROLLBACK_LIMIT_SECONDS", 900)
ENGINE_STEP_GRACE = env.seconds("ENGINE_STEP_GRACE_SECONDS", 20)
ENGINE_VERIFY_INTERVAL = env.seconds("ENGINE_VERIFY_INTERVAL_SECONDS", 2)
ENGINE_VERIFY_LIMIT = env.seconds("ENGINE_VERIFY_LIMIT_SECONDS", 120)
ENGINE_PROBE_EVERY = env.seconds("ENGINE_PROBE_EVERY_SECONDS", 5)
ENGINE_WARM = env.seconds("ENGINE_WARM_SECONDS", 1800)
ENGINE_START_BY = env.seconds("ENGINE_START_BY_SECONDS", 900)
ENGINE_CANCEL_LIMIT = env.seconds("ENGINE_CANCEL_LIMIT_SECONDS", 60)
ENGINE_UNKNOWN_ALARM = env.seconds("ENGINE_UNKNOWN_ALARM_SECONDS", 120)
ENGINE_RECONCILE = env.seconds("ENGINE_RECONCILE_SECONDS", 60)
# How often what a lane could go back to is asked for where that is taken from; how soon again after no or a bad answer.
ARTIFACTS_EVERY = env.seconds("ARTIFACTS_EVERY_SECONDS", 1800)
ARTIFACTS_SOON = env.seconds("ARTIFACTS_SOON_SECONDS", 300)
# An alert of one of these severities this soon after a deployment rolls it back.
ENGINE_WATCH = env.seconds("ENGINE_WATCH_SECONDS", 900)
ALERT_SEVERITIES = frozenset(env.words("EAIP_ALERT_SEVERITIES", "critical"))
# More than a worker has for what it is told of: with the broker away, these alone do everything, and what is due then
# has waited already.
ENGINE_SWEEPER_THREADS = int(env.number("ENGINE_SWEEPER_THREADS", 12))
HEALTH_INTERVAL = env.seconds("HEALTH_INTERVAL_SECONDS", 10)
# Under a close watch a lane is asked so many times as often; its addresses too, though none more often than each 10 s.
CLOSE_WATCH_TIMES = int(env.number("CLOSE_WATCH_TIMES", 5))
DEPENDENCY_INTERVAL = env.seconds("DEPENDENCY_INTERVAL_SECONDS", 10)
HEALTH_KEEP = env.seconds("HEALTH_KEEP_SECONDS", 86_400)
# One workspace's share of the endpoint checks, and where they may go: ports on the internet that are open to all, and
# networks of its own: `workspace=10.20.0.0/16+10.30.0.0/16`, separated by commas.
CHECKS_AT_ONCE = int(env.number("CHECKS_AT_ONCE", 100))
CHECKS_PER_MINUTE = int(env.number("CHECKS_PER_MINUTE", 3000))
OUTBOUND_PORTS = [int(port) for port in env.words("OUTBOUND_PORTS", "80,443,8080,8443")]
OUTBOUND_INTERNAL = env.pairs("OUTBOUND_INTERNAL")

# The seal of the audit trail (ADR 0099): its role's address, the key that it alone reads, how often it looks, and when
# it signs a tree that grew and one that did not.
DATABASE_SEALER_URL = env.text("DATABASE_SEALER_URL", "")
AUDIT_IS_SEALED = env.flag("AUDIT_IS_SEALED", default=True)
# Who may countersign checkpoints (docs/reference/audit.md): public keys as C2SP writes them, parted by blanks.
AUDIT_WITNESSES = tuple(env.text("AUDIT_WITNESSES", "").split())
# Where checkpoints are brought: each address, the webhook with its secret (`whsec_...`), a folder that may be added to.
AUDIT_ANCHOR_MAIL = env.words("AUDIT_ANCHOR_MAIL")
AUDIT_ANCHOR_MAIL_EVERY = env.seconds("AUDIT_ANCHOR_MAIL_SECONDS", 86_400)
AUDIT_ANCHOR_WEBHOOK = env.text("AUDIT_ANCHOR_WEBHOOK", "")
AUDIT_ANCHOR_SECRET = env.text("AUDIT_ANCHOR_SECRET", None if AUDIT_ANCHOR_WEBHOOK else "")
AUDIT_ANCHOR_DIR = env.text("EAIP_AUDIT_ANCHOR_DIR", "")
AUDIT_ANCHOR_EVERY = env.seconds("AUDIT_ANCHOR_SECONDS", 3600)
AUDIT_KEY_FILE = env.path("EAIP_AUDIT_KEY_FILE", DATA_DIR / "seal" / "signing.key")
# Where entries go that are cut from the ledger; backed up, and kept for as long as the workspace decided.
AUDIT_ARCHIVE_DIR = env.path("EAIP_AUDIT_ARCHIVE_DIR", DATA_DIR / "audit-archives")
AUDIT_LOOK = env.seconds("AUDIT_LOOK_SECONDS", 5)
AUDIT_CHECKPOINT = env.seconds("AUDIT_CHECKPOINT_SECONDS", 20)
AUDIT_CHECKPOINT_AT_LEAST = env.seconds("AUDIT_CHECKPOINT_AT_LEAST_SECONDS", 3600)
# A page of the trail has to be there in a tenth of a second: how much of it the search may take before it says how far
# it came (ADR 0120).
AUDIT_SEARCH_PATIENCE = env.seconds("AUDIT_SEARCH_SECONDS", 0.05)

# Exports of the trail: where workers write them and web servers read them, for how long they are kept, and how soon
# another worker goes on for one that died.
EXPORT_DIR = env.path("EAIP_EXPORT_DIR", DATA_DIR / "exports")
EXPORT_KEEP = env.seconds("EXPORT_KEEP_SECONDS", 7 * 86_400)
EXPORT_LEASE = env.seconds("EXPORT_LEASE_SECONDS", 30)
EXPORT_BEAT = env.seconds("EXPORT_BEAT_SECONDS", 1)

# Streams of the trail: how long a receiver may take, and how soon another worker goes on for one that died.
STREAM_PATIENCE = env.seconds("STREAM_PATIENCE_SECONDS", 5)
STREAM_LEASE = env.seconds("STREAM_LEASE_SECONDS", 30)

# Who may read the portal's own figures at /metrics says this (docs/reference/metrics.md); empty: nobody may.
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
# How often each process adds what it counted to the others' (ADR 0122).
TIMINGS_EVERY = env.seconds("TIMINGS_EVERY_SECONDS", 5)

# Where traces of the portal go, by OTLP over HTTP (docs/runbooks/tracing.md); empty: there are none, at no cost.
TRACES = bool(env.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""))
if TRACES and find_spec("opentelemetry") is None:
    raise ImproperlyConfigured(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: pip install -r requirements/traces.txt"
    )

# Who is asked what users get where no proxy of ours counts (docs/runbooks/monitoring.md); empty: nobody.
PROMETHEUS_URL = env.text("PROMETHEUS_URL", "")
# Asked whether it is there, since its silence looks like peace; it sends its alerts by itself.
ALERTMANAGER_URL = env.text("ALERTMANAGER_URL", "")
PROMETHEUS_WINDOW = env.seconds("PROMETHEUS_WINDOW_SECONDS", 30)
PROMETHEUS_LANES = frozenset(env.words("PROMETHEUS_LANES"))
PROMETHEUS_QUERIES = {
    "requests": env.text(
        "PROMETHEUS_QUERY_REQUESTS",
        'sum(increase(http_requests_total{service="$service",environment="$environment"}[$window]))',
    ),
    # Without the second half, a service that never failed would have no ratio.
    "error_ratio": env.text(
        "PROMETHEUS_QUERY_ERROR_RATIO",
        '(sum(rate(http_requests_total{service="$service",environment="$environment",code=~"5.."}[$window]))'
        ' or vector(0)) / sum(rate(http_requests_total{service="$service",environment="$environment"}[$window]))',
    ),
    "p95_ms": env.text(
        "PROMETHEUS_QUERY_P95_MS",
        "1000 * histogram_quantile(0.95, sum by (le) (rate("
        'http_request_duration_seconds_bucket{service="$service",environment="$environment"}[$window])))',
    ),
}

# The workspaces whose people may write queries of their own: whoever does can read all that Prometheus holds.
PROMETHEUS_WORKSPACES = frozenset(env.words("PROMETHEUS_WORKSPACES", "platform"))

# Where people look on (docs/runbooks/monitoring.md): a template of an address for each; empty: no link is shown.
LINKS = {name: env.text(f"LINK_{name.upper()}", "") for name in ("Grafana", "Loki", "Traces")}

# The clusters that helm may reach: `name=/path/of/a/kubeconfig`, separated by commas. Without one no lane can want it.
KUBECONFIGS = {name: Path(path) for name, path in env.pairs("EAIP_KUBECONFIGS").items()}
HELM = env.text("EAIP_HELM", "")
# Who the portal is at registries: `host=/path/of/a/file`, separated by commas; nobody where none is named.
REGISTRIES = {host: Path(path) for host, path in env.pairs("EAIP_REGISTRIES").items()}
# Where a cluster asks about a namespace that no environment claims: `allow` or `deny` (docs/runbooks/admission.md).
ADMISSION_UNCLAIMED = env.one_of("ADMISSION_UNCLAIMED", ("allow", "deny"))
# Services elsewhere that deploy for us: `name=/path/of/a/connection`, separated by commas, for each kind of service.
CONNECTIONS = {
    kind: {name: Path(path) for name, path in env.pairs(f"EAIP_{kind.upper()}").items()}
    for kind in ("argocd", "github", "gitlab", "flux", "tekton")
}
# Which executor stands behind the word in a lane: `word=path.of.a.callable`, separated by commas.
EXECUTORS = {
    "local": "apps.deployments.executors.configured.local_executor",
    "helm": "apps.deployments.executors.configured.helm_executor",
    **{kind: f"apps.deployments.executors.configured.{kind}_executor" for kind in CONNECTIONS},
    **env.pairs("EXECUTORS"),
}

# A file with the public keys of builders in PEM; what they sign as provenance is verified with them.
PROVENANCE_KEYS = Path(name) if (name := env.text("EAIP_PROVENANCE_KEYS", "")) else None

# The local executor's places (docs/runbooks/running.md).
ARTIFACT_DIR = env.path("EAIP_ARTIFACT_DIR", DATA_DIR / "artifacts")
TARGET_DIR = env.path("EAIP_TARGET_DIR", DATA_DIR / "target")
REPOSITORY_DIR = env.path("EAIP_REPOSITORY_DIR", DATA_DIR / "repositories")
# The one of them, without ".git", whose branch holds the tiers' policies as dev.yaml, qa.yaml and so on.
POLICY_REPOSITORY = env.text("POLICY_REPOSITORY", "policies")
POLICY_BRANCH = env.text("POLICY_BRANCH", "main")
HAPROXY_SOCKET = env.text("EAIP_HAPROXY_SOCKET", "")
HAPROXY_MASTER_SOCKET = env.text("EAIP_HAPROXY_MASTER_SOCKET", "")
HAPROXY_CONFIG_DIR = env.path("EAIP_HAPROXY_CONFIG_DIR", DATA_DIR / "haproxy")
SUPERVISOR_SOCKET = env.text("EAIP_SUPERVISOR_SOCKET", "")
SUPERVISOR_CONFIG_DIR = env.path("EAIP_SUPERVISOR_CONFIG_DIR", DATA_DIR / "supervisor")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"whence": {"()": "eaip.log.Whence"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s%(whence)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["whence"]}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx2": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "celery.redirected": {"level": "WARNING"},
    },
}
