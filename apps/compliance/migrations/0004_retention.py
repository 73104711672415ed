"""What is kept of the trail, for how long, and what goes: by two people, and past no legal hold (ADR 0104).

The two functions that the ledger's triggers let pass stand here, since they ask for holds and for who confirmed.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from apps.audit.net import govern
from apps.core.row_level_security import SCOPE, definer, immutable, protect, same_workspace

WISHES = [
    ("RETENTION", "Keep entries for another time"),
    ("CUT", "Cut old entries"),
    ("LIFT", "Lift a legal hold"),
    ("ERASURE", "Erase a person's data"),
]
WISH_STATES = [
    ("OPEN", "Waits for another person"), ("CONFIRMED", "Confirmed"), ("REJECTED", "Rejected"),
    ("WITHDRAWN", "Taken back"),
]  # fmt: skip
SCOPES = [
    ("WORKSPACE", "Everything in the workspace"),
    ("OBJECT", "One object's history"),
    ("ACTOR", "What one person did, and what was done to them"),
]
CUT_STATES = [
    ("CONFIRMED", "Is to be archived"), ("ARCHIVED", "Archived"), ("RECORDED", "Waits for its seal"),
    ("DONE", "Removed"),
]  # fmt: skip
BASES = [
    ("CONSENT", "GDPR art. 17 (1) b: consent was withdrawn"),
    ("NOT_NEEDED", "GDPR art. 17 (1) a: no longer needed"),
    ("OBJECTION", "GDPR art. 17 (1) c: objection"),
    ("UNLAWFUL", "GDPR art. 17 (1) d: unlawfully processed"),
    ("OBLIGATION", "GDPR art. 17 (1) e: legal obligation"),
    ("STORAGE_LIMIT", "GDPR art. 5 (1) e: storage limitation"),
    ("OTHER", "Another, named in the reason"),
]

# Whoever puts a hold, cuts or erases takes this lock: of two at once the second sees what the first did.
LOCK = "pg_advisory_xact_lock(5317204988002)"
PARTS = (
    "e.workspace_id, e.kind, e.outcome, e.actor_id, e.actor_label, e.target_type, e.target_id, e.target_label, "
    "e.environment_id, e.service_id, e.request_id, e.summary, e.reason, e.target"
)

HOLDS = f"""
CREATE FUNCTION legal_hold_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM {LOCK};
    ELSIF NEW.lifted_with_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM compliance_proposal p WHERE p.id = NEW.lifted_with_id AND p.workspace_id = NEW.workspace_id
            AND p.wish = 'LIFT' AND p.state = 'CONFIRMED' AND p.terms->>'hold' = NEW.id::text)
    THEN
        RAISE EXCEPTION 'compliance_legalhold: lifting it takes two people' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_hold_stands BEFORE INSERT OR UPDATE ON compliance_legalhold
    FOR EACH ROW EXECUTE FUNCTION legal_hold_stands();
ALTER TABLE compliance_legalhold ENABLE ALWAYS TRIGGER legal_hold_stands;

CREATE FUNCTION legal_hold_covers(h compliance_legalhold, e audit_event) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN
    h.workspace_id = e.workspace_id AND e.recorded_at >= coalesce(h.since, '-infinity')
    AND e.recorded_at < coalesce(h.until, 'infinity')
    AND CASE h.scope WHEN 'WORKSPACE' THEN true
        WHEN 'OBJECT' THEN e.target_type = h.target_type AND e.target_id = h.target_id
        ELSE e.actor_id = h.actor_id OR (e.target_type = 'user' AND e.target_id = h.actor_id)
            OR e.people @> ARRAY[h.actor_id::text] END;

CREATE FUNCTION legal_hold_on_leaves(owner uuid, first bigint, last bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT h.id FROM public.compliance_legalhold h
    WHERE h.workspace_id = owner AND h.lifted_at IS NULL AND EXISTS (
        SELECT FROM public.audit_leaf l
        JOIN public.audit_event e ON e.event_id = l.event_id AND e.recorded_at = l.recorded_at
        WHERE l.workspace_id = owner AND l.leaf_index BETWEEN first AND last AND public.legal_hold_covers(h, e))
    ORDER BY h.put_at LIMIT 1
$$;

GRANT SELECT ON compliance_legalhold, compliance_proposal, compliance_erasure TO eaip_gate;
GRANT SELECT, UPDATE ON compliance_cut TO eaip_gate;
"""

# The only door of the entries that prove cuts: of one that two people confirmed, and that says what it is.
RECORD_CUT = f"""
CREATE FUNCTION cut_is_confirmed(c compliance_cut) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT c.until::timestamp AT TIME ZONE 'UTC' <= clock_timestamp() - interval '365 days' AND EXISTS (
        SELECT FROM public.compliance_proposal p WHERE p.id = c.proposal_id AND p.wish = 'CUT'
            AND p.state = 'CONFIRMED' AND p.decided_by_id <> p.proposed_by_id)
$$;
CREATE FUNCTION cut_is_told(c compliance_cut, change jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((change->'first_leaf'->>'after')::bigint = c.first_leaf
        AND (change->'last_leaf'->>'after')::bigint = c.last_leaf
        AND change->'archive_sha256'->>'after' = c.archive_sha256, false)
$$;
CREATE FUNCTION record_cut(event jsonb) RETURNS uuid LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    c public.compliance_cut;
BEGIN
    SELECT * INTO c FROM public.compliance_cut WHERE id = (event->'target'->>'id')::uuid
        AND workspace_id = (event->>'workspace_id')::uuid AND workspace_id = ANY ({SCOPE}) FOR UPDATE;
    IF c.state IS DISTINCT FROM 'ARCHIVED' OR event->>'kind' <> 'retention.cut' OR NOT public.cut_is_confirmed(c)
        OR NOT public.cut_is_told(c, event->'change')
    THEN
        RAISE EXCEPTION 'record_cut: nobody confirmed this cut' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN public.write_event(event);
END $$;
"""

# Deletes what a cut covers, or nothing. An entry that proves a cut or names a key stays: later proofs need it.
CUT = f"""
CREATE FUNCTION cut_events(cut uuid) RETURNS bigint LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    c public.compliance_cut;
    ends timestamptz;
    gone bigint;
BEGIN
    PERFORM {LOCK};
    SELECT * INTO c FROM public.compliance_cut WHERE id = cut AND workspace_id = ANY ({SCOPE}) FOR UPDATE;
    ends := c.until::timestamp AT TIME ZONE 'UTC';
    IF c.state IS DISTINCT FROM 'RECORDED' OR NOT public.cut_is_confirmed(c) THEN
        RAISE EXCEPTION 'cut_events: nobody confirmed this cut' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF public.legal_hold_on_leaves(c.workspace_id, c.first_leaf, c.last_leaf) IS NOT NULL THEN
        RAISE EXCEPTION 'cut_events: a legal hold covers entries of it' USING ERRCODE = 'EA001';
    END IF;
    IF NOT EXISTS (
        SELECT FROM public.audit_event e JOIN public.audit_leaf l USING (workspace_id, event_id)
        JOIN public.audit_checkpoint k ON k.workspace_id = l.workspace_id AND k.tree_size > l.leaf_index
        WHERE e.workspace_id = c.workspace_id AND e.event_id = c.event_id AND e.kind = 'retention.cut'
            AND public.cut_is_told(c, e.change))
    THEN
        RAISE EXCEPTION 'cut_events: the entry that proves it is not sealed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM public.audit_event e USING public.audit_leaf l
        WHERE l.workspace_id = c.workspace_id AND l.leaf_index BETWEEN c.first_leaf AND c.last_leaf
            AND e.event_id = l.event_id AND e.recorded_at = l.recorded_at AND e.workspace_id = c.workspace_id
            AND e.recorded_at < ends AND e.kind NOT IN ('retention.cut', 'audit.key_rotated');
    GET DIAGNOSTICS gone = ROW_COUNT;
    -- Of these months what no entry is left of: an entry opens to subjects of its own month alone.
    DELETE FROM public.audit_subject s WHERE s.workspace_id = c.workspace_id AND s.month < c.until AND s.id NOT IN (
        SELECT opened[1]::uuid FROM public.audit_event e,
            regexp_matches(convert_from(e.canonical, 'UTF8'), '"subject": "([0-9a-f-]{{36}})"', 'g') opened
        WHERE e.workspace_id = c.workspace_id AND e.recorded_at < ends);
    UPDATE public.compliance_cut SET state = 'DONE', entries = gone, done_at = clock_timestamp(), problem = ''
        WHERE id = cut;
    RETURN gone;
END $$;
"""

# What hinders erasing a person: over all workspaces, and of those no more than that.
HINDRANCE = """
CREATE FUNCTION erasure_hindrance(person uuid) RETURNS text LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    who CONSTANT text := person::text;
BEGIN
    IF EXISTS (SELECT FROM public.accounts_user WHERE id = person AND is_active) THEN RETURN 'active'; END IF;
    IF EXISTS (
        SELECT FROM public.compliance_legalhold h WHERE h.lifted_at IS NULL AND (
            (h.scope = 'ACTOR' AND h.actor_id = who)
            OR (h.scope = 'OBJECT' AND h.target_type = 'user' AND h.target_id = who)
            OR EXISTS (
                SELECT FROM public.audit_event e
                WHERE (e.actor_id = who OR (e.target_type = 'user' AND e.target_id = who)
                    OR (e.people <> '{}' AND e.people @> ARRAY[who])) AND public.legal_hold_covers(h, e))))
    THEN
        RETURN 'held';
    END IF;
    RETURN '';
END $$;
"""

# Blanks what is shown of a person and what commitments to their data open to; the sealed bytes stay as they are.
ERASE = f"""
CREATE FUNCTION erase_person(erasure uuid) RETURNS TABLE (workspace uuid, entries bigint, of_version_1 bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    who text; instead text; names text[]; name text; in_text text; in_json text;
    personal CONSTANT text[] := '{{username,display_name,first_name,last_name,email}}';
BEGIN
    PERFORM {LOCK};
    SELECT r.person_id::text INTO who FROM public.compliance_erasure r
        JOIN public.compliance_proposal p ON p.id = r.proposal_id
        WHERE r.id = erasure AND p.wish = 'ERASURE' AND p.state = 'CONFIRMED' AND p.decided_by_id <> p.proposed_by_id
            AND p.terms->>'person' = r.person_id::text;
    IF who IS NULL THEN
        RAISE EXCEPTION 'erase_person: nobody confirmed it' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF public.erasure_hindrance(who::uuid) <> '' THEN
        RAISE EXCEPTION 'erase_person: %', public.erasure_hindrance(who::uuid) USING ERRCODE = 'EA001';
    END IF;
    instead := 'Erased ' || who;
    names := ARRAY(
        SELECT DISTINCT btrim(n) FROM (
            SELECT opening::jsonb->>'label' FROM public.audit_subject WHERE person_id = who AND erased_at IS NULL
            UNION ALL SELECT unnest(ARRAY[display_name, username, email, first_name || ' ' || last_name])
                FROM public.accounts_user WHERE id::text = who
            UNION ALL SELECT actor_label FROM public.audit_event WHERE actor_id = who AND actor_type = 'PERSON'
            UNION ALL SELECT target_label FROM public.audit_event WHERE target_type = 'user' AND target_id = who
        ) known(n) WHERE length(btrim(n)) > 1 AND n <> instead AND n <> 'erased-' || who);
    -- As a word of its own; in JSON an escape may stand right before it.
    SELECT '(?<!\\w)(' || string_agg(regexp_replace(n, '([^[:alnum:]_ ])', '\\\\\\1', 'g'), '|'
            ORDER BY length(n) DESC) || ')(?!\\w)',
        '((?<!\\w)|(?<=\\\\[bfnrt]))(' || string_agg(regexp_replace(substr(to_jsonb(n)::text, 2, length(to_jsonb(n)::text) - 2),
            '([^[:alnum:]_ ])', '\\\\\\1', 'g'), '|' ORDER BY length(n) DESC) || ')(?!\\w)'
        INTO in_text, in_json FROM unnest(names) n;
    in_text := coalesce(in_text, 'a^');
    in_json := coalesce(in_json, 'a^');
    RETURN QUERY WITH blanked AS (
        UPDATE public.audit_event e SET
            actor_label = CASE WHEN e.actor_type = 'PERSON' AND e.actor_id = who THEN instead ELSE e.actor_label END,
            actor = CASE WHEN e.actor_type = 'PERSON' AND e.actor_id = who
                THEN e.actor || jsonb_build_object('label', instead) ELSE e.actor END,
            source = CASE WHEN who = coalesce(CASE WHEN e.actor_type = 'PERSON' THEN e.actor_id END,
                    e.actor->>'on_behalf_of', CASE WHEN e.target_type = 'user' THEN e.target_id END)
                THEN e.source - '{{ip,user_agent}}'::text[] ELSE e.source END,
            target_label = CASE WHEN e.target_type = 'user' AND e.target_id = who THEN instead
                ELSE regexp_replace(e.target_label, in_text, instead, 'g') END,
            target = e.target || jsonb_build_object('label', CASE
                WHEN e.target_type = 'user' AND e.target_id = who THEN instead
                ELSE regexp_replace(e.target_label, in_text, instead, 'g') END),
            summary = regexp_replace(e.summary, in_text, instead, 'g'),
            reason = regexp_replace(e.reason, in_text, instead, 'g'),
            change = CASE WHEN e.target_type = 'user' AND e.target_id = who THEN e.change - personal ELSE
                regexp_replace(e.change::text, in_json, instead, 'g')::jsonb END,
            approval = regexp_replace(e.approval::text, in_json, instead, 'g')::jsonb
        WHERE e.actor_id = who OR (e.target_type = 'user' AND e.target_id = who)
            OR (e.people <> '{{}}' AND e.people @> ARRAY[who])
        RETURNING e.workspace_id AS owner, e.schema_version AS version
    ) SELECT owner, count(*), count(*) FILTER (WHERE version = 1) FROM blanked GROUP BY owner;
    -- A name of several words is looked for in what others wrote too. One word may be anybody's, or no name.
    FOREACH name IN ARRAY names LOOP
        CONTINUE WHEN name !~ '\\w\\s+\\w';
        UPDATE public.audit_event e SET
            summary = regexp_replace(e.summary, in_text, instead, 'g'),
            reason = regexp_replace(e.reason, in_text, instead, 'g'),
            target_label = regexp_replace(e.target_label, in_text, instead, 'g'),
            target = e.target || jsonb_build_object('label', regexp_replace(e.target_label, in_text, instead, 'g')),
            change = regexp_replace(e.change::text, in_json, instead, 'g')::jsonb
        WHERE audit_terms({PARTS}) @@ public.audit_text_query('', name)::tsquery
            AND concat_ws(E'\\n', e.summary, e.reason, e.target_label) ~ in_text;
    END LOOP;
    UPDATE public.audit_subject SET salt = NULL, opening = NULL, erased_at = clock_timestamp()
        WHERE person_id = who AND erased_at IS NULL;
    -- What django-auditlog kept of their row, and from where they changed others.
    UPDATE public.audit_fieldhistory h SET object_repr = instead, changes = NULL, changes_text = '',
            serialized_data = NULL
        FROM public.django_content_type t WHERE t.id = h.content_type_id AND t.app_label = 'accounts'
            AND t.model = 'user' AND h.object_pk = who;
    UPDATE public.audit_fieldhistory SET remote_addr = NULL, remote_port = NULL, actor_email = NULL
        WHERE actor_id = who::uuid;
END $$;
GRANT SELECT, UPDATE ON audit_fieldhistory TO eaip_gate;
GRANT SELECT ON django_content_type TO eaip_gate;
"""

DUE = """
CREATE FUNCTION retention_due() RETURNS SETOF uuid LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT workspace_id FROM public.compliance_cut
        WHERE state <> 'DONE' AND (again_at IS NULL OR again_at <= clock_timestamp())
    UNION SELECT workspace_id FROM public.compliance_erasure
        WHERE (again_at IS NULL AND erased_at IS NULL) OR again_at <= clock_timestamp()
$$;
"""


def _together(name: str, *fields: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        name=name,
        condition=Q(**{f"{field}__isnull": True for field in fields})
        | Q(**{f"{field}__isnull": False for field in fields}),
    )


def _leads_to_proposal(table: str, column: str = "proposal_id") -> migrations.RunSQL:
    return same_workspace(table, column, "compliance_proposal")


TABLES = (
    "compliance_proposal", "compliance_retention", "compliance_legalhold", "compliance_cut", "compliance_erasure",
)  # fmt: skip
OF_A_PROPOSAL = ("workspace_id", "wish", "terms", "legal_basis", "reason", "proposed_at", "proposed_by_id")
OF_A_HOLD = (
    "workspace_id", "scope", "target_type", "target_id", "actor_id", "since", "until", "reason", "put_at", "put_by_id",
)  # fmt: skip
OF_A_CUT = ("workspace_id", "proposal_id", "until", "first_leaf", "last_leaf", "confirmed_at")
OF_AN_ARCHIVE = ("archive", "archive_sha256", "archive_bytes", "archive_until_date")
OF_AN_ERASURE = ("workspace_id", "proposal_id", "person_id", "confirmed_at")


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0003_governed"),
        ("accounts", "0008_keepers_of_the_trail"),
        ("audit", "0007_subjects"),
        ("workspaces", "0002_tenancy"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name="Proposal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("wish", models.CharField(choices=WISHES, max_length=9)),
                ("terms", models.JSONField()),
                ("legal_basis", models.CharField(blank=True, choices=BASES, max_length=13)),
                ("reason", models.CharField(max_length=300)),
                ("proposed_at", models.DateTimeField()),
                ("state", models.CharField(choices=WISH_STATES, default="OPEN", max_length=9)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("comment", models.CharField(blank=True, max_length=300)),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-proposed_at", "-pk"],
                "indexes": [models.Index(fields=["workspace", "-proposed_at", "-id"], name="wish_by_age")],
                "constraints": [
                    models.CheckConstraint(name="wish_known", condition=Q(wish__in=[key for key, _ in WISHES])),
                    models.CheckConstraint(
                        name="wish_state_known", condition=Q(state__in=[key for key, _ in WISH_STATES])
                    ),
                    models.CheckConstraint(
                        name="wish_decided_whole",
                        condition=Q(state="OPEN", decided_at=None, decided_by=None)
                        | ~Q(state="OPEN") & Q(decided_at__isnull=False, decided_by__isnull=False),
                    ),
                    models.CheckConstraint(
                        name="wish_confirmed_by_another",
                        condition=~Q(state="CONFIRMED") | ~Q(decided_by=F("proposed_by")),
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Retention",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("online_days", models.PositiveSmallIntegerField()),
                ("archive_years", models.PositiveSmallIntegerField()),
                ("since", models.DateTimeField()),
                (
                    "proposal",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="retention",
                        to="compliance.proposal",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-since"],
                "constraints": [
                    models.CheckConstraint(name="retention_a_year", condition=Q(online_days__gte=365)),
                    models.CheckConstraint(
                        name="retention_archive", condition=Q(archive_years__gte=1, archive_years__lte=30)
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("scope", models.CharField(choices=SCOPES, max_length=9)),
                ("target_type", models.CharField(blank=True, max_length=40)),
                ("target_id", models.CharField(blank=True, max_length=64)),
                ("actor_id", models.CharField(blank=True, max_length=64)),
                ("since", models.DateTimeField(blank=True, null=True)),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(max_length=300)),
                ("put_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "lifted_with",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lifted",
                        to="compliance.proposal",
                    ),
                ),
                (
                    "put_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-put_at", "-pk"],
                "indexes": [models.Index(condition=Q(lifted_at=None), fields=["workspace"], name="legal_hold_stands")],
                "constraints": [
                    models.CheckConstraint(
                        name="legal_hold_of_something",
                        condition=Q(scope="WORKSPACE", target_type="", target_id="", actor_id="")
                        | Q(scope="OBJECT", actor_id="") & ~Q(target_type="") & ~Q(target_id="")
                        | Q(scope="ACTOR", target_type="", target_id="") & ~Q(actor_id=""),
                    ),
                    models.CheckConstraint(
                        name="legal_hold_has_a_span", condition=Q(since=None) | Q(until=None) | Q(until__gt=F("since"))
                    ),
                    _together("legal_hold_lifted_whole", "lifted_at", "lifted_with"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Cut",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("until", models.DateField()),
                ("first_leaf", models.BigIntegerField()),
                ("last_leaf", models.BigIntegerField()),
                ("state", models.CharField(choices=CUT_STATES, default="CONFIRMED", max_length=9)),
                ("confirmed_at", models.DateTimeField()),
                ("archive", models.CharField(blank=True, max_length=200)),
                ("archive_sha256", models.CharField(blank=True, max_length=64)),
                ("archive_bytes", models.BigIntegerField(blank=True, null=True)),
                ("archive_until_date", models.DateField(blank=True, null=True)),
                ("event_id", models.UUIDField(blank=True, null=True)),
                ("entries", models.BigIntegerField(blank=True, null=True)),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("again_at", models.DateTimeField(blank=True, null=True)),
                (
                    "proposal",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cut",
                        to="compliance.proposal",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-confirmed_at", "-pk"],
                "constraints": [
                    models.CheckConstraint(
                        name="cut_state_known", condition=Q(state__in=[key for key, _ in CUT_STATES])
                    ),
                    models.CheckConstraint(
                        name="cut_has_leaves", condition=Q(first_leaf__gte=0, last_leaf__gte=F("first_leaf"))
                    ),
                    models.CheckConstraint(
                        name="cut_archived_first",
                        condition=Q(state="CONFIRMED")
                        | ~Q(archive_sha256="") & Q(archive_bytes__isnull=False, archive_until_date__isnull=False),
                    ),
                    models.CheckConstraint(
                        name="cut_told_of_first",
                        condition=Q(state__in=["CONFIRMED", "ARCHIVED"]) | Q(event_id__isnull=False),
                    ),
                    _together("cut_done_whole", "done_at", "entries"),
                    models.UniqueConstraint(name="one_cut_at_once", fields=["workspace"], condition=~Q(state="DONE")),
                    models.UniqueConstraint(name="cut_leaf_once", fields=["workspace", "first_leaf"]),
                ],
            },
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("confirmed_at", models.DateTimeField()),
                ("erased_at", models.DateTimeField(blank=True, null=True)),
                ("entries", models.BigIntegerField(blank=True, null=True)),
                ("again_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.CharField(blank=True, max_length=300)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposal",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasure",
                        to="compliance.proposal",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="workspaces.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["-confirmed_at", "-pk"],
                "constraints": [models.UniqueConstraint(name="erased_once", fields=["person"])],
            },
        ),
        *(protect(table) for table in TABLES),
        *(_leads_to_proposal(table) for table in ("compliance_retention", "compliance_cut", "compliance_erasure")),
        _leads_to_proposal("compliance_legalhold", "lifted_with_id"),
        immutable("compliance_proposal", OF_A_PROPOSAL),
        immutable("compliance_proposal", when="OLD.state <> 'OPEN'", name="decided"),
        immutable("compliance_retention"),
        immutable("compliance_legalhold", OF_A_HOLD),
        immutable("compliance_legalhold", when="OLD.lifted_at IS NOT NULL", name="lifted"),
        immutable("compliance_cut", OF_A_CUT),
        immutable("compliance_cut", OF_AN_ARCHIVE, when="OLD.state <> 'CONFIRMED'", name="archived"),
        immutable("compliance_cut", when="OLD.state = 'DONE'", name="done"),
        immutable("compliance_erasure", OF_AN_ERASURE),
        migrations.RunSQL(
            HOLDS,
            "DROP FUNCTION legal_hold_on_leaves; DROP FUNCTION legal_hold_covers;"
            "DROP FUNCTION legal_hold_stands() CASCADE;",
        ),
        migrations.RunSQL(
            RECORD_CUT,
            "DROP FUNCTION record_cut(jsonb); DROP FUNCTION cut_is_told(compliance_cut, jsonb);"
            "DROP FUNCTION cut_is_confirmed(compliance_cut);",
        ),
        definer("record_cut(jsonb)"),
        migrations.RunSQL(CUT, "DROP FUNCTION cut_events(uuid);"),
        definer("cut_events(uuid)"),
        migrations.RunSQL(HINDRANCE, "DROP FUNCTION erasure_hindrance(uuid);"),
        definer("erasure_hindrance(uuid)"),
        migrations.RunSQL(ERASE, "DROP FUNCTION erase_person(uuid);"),
        definer("erase_person(uuid)"),
        migrations.RunSQL(DUE, "DROP FUNCTION retention_due();"),
        definer("retention_due()"),
        govern("compliance_proposal"),
        govern("compliance_retention"),
        govern("compliance_legalhold"),
        govern("compliance_cut", unwatched=("problem", "again_at")),
        govern("compliance_erasure", unwatched=("problem", "again_at")),
    ]
