"""Search of the ledger: one inverted index over what a filter can ask for, and the function that walks it (ADR 0102).

No sealed row is touched: the index is of an expression. Building it holds up writers; docs/reference/audit.md says how
long.
"""

import uuid

from django.db import migrations, models

from apps.core.row_level_security import SCOPE, definer, protect

# The words of a text, parted by spaces: lower case, a point only within a word ("1.4.2"). Every insert pays for it:
# translate() with a list of signs takes three times as long as this.
WORDS = """
CREATE FUNCTION audit_words(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    replace(regexp_replace(lower(value), '[^[:alnum:].]+', ' ', 'g') || ' ', '. ', ' ');
"""

# A lexeme holds 2,046 bytes at most, and an event must never fail to be written because of one: hence the limits.
# Facets are `letter=value`; no word of a text has a `=` in it. Nearly every event has success, so that is no term.
TERMS = """
CREATE FUNCTION audit_terms(workspace_id uuid, kind text, outcome text, actor_id text, actor_label text,
    target_type text, target_id text, target_label text, environment_id uuid, service_id uuid, request_id text,
    summary text, reason text, target jsonb) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
BEGIN
    RETURN array_to_tsvector(array_remove(array_remove(
        ARRAY['w=' || workspace_id, 'k=' || left(kind, 100), 'n=' || left(split_part(kind, '.', 1), 100),
            CASE WHEN outcome <> 'SUCCESS' THEN 'x=' || outcome END, 'i=' || left(actor_id, 100),
            't=' || left(target_id, 100), 'e=' || environment_id, 's=' || service_id, 'q=' || left(request_id, 100),
            'r=' || left(public.audit_release(target_type, target_label, summary, target), 100)]
        || string_to_array('a=' || replace(public.audit_words(left(actor_label, 150)), ' ', ' a='), ' ')
        || string_to_array(public.audit_words(left(summary, 500)), ' ')
        || string_to_array(public.audit_words(left(target_label, 500)), ' ')
        || string_to_array(public.audit_words(CASE WHEN length(reason) <= 500 THEN reason
            ELSE regexp_replace(left(reason, 10000), '(\\S{100})', '\\1 ', 'g') END), ' '),
        NULL), ''));
END $$;
"""

# The version of the release that an event concerns. Promotions from before it was among their details name it in words.
RELEASE = """
CREATE FUNCTION audit_release(target_type text, target_label text, summary text, target jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN target ? 'release' THEN target->>'release'
        WHEN target_type = 'release' THEN target_label
        WHEN target_type = 'promotion' THEN substring(summary FROM '^Promotion #[0-9]+ \\(.* ([^ ]+) to ') END;
"""

PARTS = (
    "workspace_id, kind, outcome, actor_id, actor_label, target_type, target_id, target_label, environment_id, "
    "service_id, request_id, summary, reason, target"
)
TERMS_OF_ROW = f"public.audit_terms({PARTS})"
INDEXES = f"""
CREATE INDEX audit_event_moment ON audit_event (recorded_at DESC, event_id DESC);
CREATE INDEX audit_event_terms ON audit_event USING gin (({TERMS_OF_ROW.removeprefix("public.")}))
    WITH (fastupdate = off);
"""

# What somebody typed, as a question to the index: every word, and `word*` for what begins so. An id is looked up as
# one.
QUERIES = """
CREATE FUNCTION audit_term(letter text, value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    '''' || letter || replace(replace(left(value, 100), '\\', '\\\\'), '''', '''''') || '''';

CREATE FUNCTION audit_text_query(prefix text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    piece text; word text; terms text[] := '{}'; words text[];
BEGIN
    IF value ~* '^\\s*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\s*$' THEN
        value := lower(btrim(value));
        RETURN format('(%s|%s|%s)', public.audit_term('q=', value), public.audit_term('t=', value),
            public.audit_term('i=', value));
    END IF;
    FOREACH piece IN ARRAY regexp_split_to_array(value, '\\s+') LOOP
        words := array_remove(string_to_array(public.audit_words(piece), ' '), '');
        FOR i IN 1..cardinality(words) LOOP
            terms := terms || (public.audit_term(prefix, words[i])
                || CASE WHEN i = cardinality(words) AND piece LIKE '%*' AND length(words[i]) > 2 THEN ':*' ELSE '' END);
        END LOOP;
    END LOOP;
    RETURN array_to_string(terms, '&');
END $$;

CREATE FUNCTION audit_matches(terms tsvector, prefix text, value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN terms @@ public.audit_text_query(prefix, value)::tsquery;
"""

# The criteria as a question to the index, which is necessary and cheap, and as conditions on plain columns. What is
# asked in words is exact in the index alone; `in_words` says it for rows that were not found by it.
CRITERIA = f"""
CREATE FUNCTION audit_criteria(criteria jsonb, workspaces uuid[], OUT query text, OUT plain text, OUT in_words text)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    actor text := criteria->>'actor'; kind text := criteria->>'kind'; value text; terms text[] := '{{}}';
BEGIN
    plain := format('workspace_id = ANY (%L::uuid[])', workspaces);
    in_words := 'true';
    IF criteria ? 'q' THEN
        terms := terms || public.audit_text_query('', criteria->>'q');
        IF terms[1] LIKE '(%' THEN
            value := lower(btrim(criteria->>'q'));
            in_words := in_words || format(' AND %L IN (request_id, target_id, actor_id)', value);
        ELSE
            FOREACH value IN ARRAY array_remove(string_to_array(public.audit_words(criteria->>'q'), ' '), '') LOOP
                in_words := in_words || format(
                    ' AND strpos(lower(summary || '' '' || target_label || '' '' || reason), %L) > 0', value);
            END LOOP;
        END IF;
        in_words := in_words || format(' AND {TERMS_OF_ROW} @@ %L::tsquery', terms[1]);
    END IF;
    IF criteria ? 'actor' THEN
        FOREACH value IN ARRAY array_remove(string_to_array(public.audit_words(actor), ' '), '') LOOP
            in_words := in_words || format(' AND (actor_id = %L OR strpos(lower(actor_label), %L) > 0)', actor, value);
        END LOOP;
        value := format('(%s|%s)', public.audit_term('i=', actor), public.audit_text_query('a=', actor));
        IF value LIKE '%|)' THEN
            value := public.audit_term('i=', actor);
        END IF;
        terms := terms || value;
        in_words := in_words || format(' AND {TERMS_OF_ROW} @@ %L::tsquery', value);
    END IF;
    IF kind LIKE '%.%' THEN
        terms := terms || public.audit_term('k=', kind);
        plain := plain || format(' AND kind = %L', kind);
    ELSIF kind IS NOT NULL THEN
        terms := terms || public.audit_term('n=', kind);
        plain := plain || format(' AND kind >= %L AND kind < %L', kind || '.', kind || '/');
    END IF;
    IF criteria ? 'outcome' THEN
        plain := plain || format(' AND outcome = %L', criteria->>'outcome');
        IF criteria->>'outcome' <> 'SUCCESS' THEN
            terms := terms || public.audit_term('x=', criteria->>'outcome');
        END IF;
    END IF;
    IF criteria ? 'environment' THEN
        terms := terms || public.audit_term('e=', criteria->>'environment');
        plain := plain || format(' AND environment_id = %L', criteria->>'environment');
    END IF;
    IF criteria ? 'service' THEN
        terms := terms || public.audit_term('s=', criteria->>'service');
        plain := plain || format(' AND service_id = %L', criteria->>'service');
    END IF;
    IF criteria ? 'release' THEN
        terms := terms || public.audit_term('r=', criteria->>'release');
        plain := plain || format(' AND public.audit_release(target_type, target_label, summary, target) = %L',
            criteria->>'release');
    END IF;
    IF criteria ? 'object' THEN
        terms := terms || public.audit_term('t=', criteria->'object'->>1);
        plain := plain || format(' AND target_type = %L AND target_id = %L', criteria->'object'->>0,
            criteria->'object'->>1);
    END IF;
    SELECT string_agg(public.audit_term('w=', w::text), '|') INTO value FROM unnest(workspaces) w;
    query := array_to_string(terms || format('(%s)', value), '&');
END $$;
"""

# Walks the months from the newest (or, for newer pages, from the cursor on). In a month it looks at the newest entries
# first, which is enough where what is asked for is common; where it is not, the index finds what there is in the month,
# then in the two months before, the four before those ... A span of months that holds more than it bears to sort is
# gone through month by month instead. A planner that has to choose between the two ways for a query with a LIMIT trusts
# an estimate, and is wrong by seconds. Tells ids only, which are then read under the policy.
SEARCH = f"""
CREATE FUNCTION search_events(asked uuid[], criteria jsonb, since timestamptz, until timestamptz,
    beyond timestamptz, beyond_id uuid, newer boolean, wanted integer, look integer)
    RETURNS TABLE (id uuid, moment timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    scope uuid[] := ARRAY(SELECT w FROM unnest(asked) w WHERE w = ANY ({SCOPE}));
    said record; bounds timestamptz[]; lows timestamptz[]; highs timestamptz[]; direction text;
    cursor_is text := 'true';
    ids uuid[]; moments timestamptz[]; seen integer; probe text; lookup text; owned text := 'true';
    first integer := 1; last integer; width integer := 1; budget integer := look;
    bearable CONSTANT integer := 1000;
    horizon timestamptz := clock_timestamp() + interval '1 day';
BEGIN
    IF cardinality(scope) = 0 THEN RETURN; END IF;
    said := audit_criteria(criteria, scope);
    direction := CASE WHEN newer THEN 'ORDER BY recorded_at, event_id'
        ELSE 'ORDER BY recorded_at DESC, event_id DESC' END;
    IF beyond IS NOT NULL THEN
        cursor_is := format('(recorded_at, event_id) %s (%L::timestamptz, %L::uuid)',
            CASE WHEN newer THEN '>' ELSE '<' END, beyond, beyond_id);
        IF newer THEN since := greatest(since, beyond);
        ELSE until := least(until, beyond + interval '1 microsecond'); END IF;
    END IF;
    -- The months to come are many and empty, unless somebody set the clock back. Planned for the moment, each time: a
    -- plan that is kept reads all of this month.
    EXECUTE 'SELECT least($2, $1) WHERE NOT EXISTS (SELECT FROM public.audit_event WHERE recorded_at >= $1)'
        INTO horizon USING horizon, until;
    until := coalesce(horizon, until);
    IF cardinality(scope) = 1 THEN owned := format('workspace_id = %L', scope[1]); END IF;
    probe := format('WITH newest AS MATERIALIZED (SELECT event_id, recorded_at, {PARTS} FROM public.audit_event'
        ' WHERE %s AND %s AND recorded_at >= $1 AND recorded_at < $2 %s LIMIT $3),'
        ' hit AS (SELECT event_id, recorded_at FROM newest WHERE %s AND %s %s LIMIT $4)'
        ' SELECT array_agg(event_id %s), array_agg(recorded_at %s), (SELECT count(*) FROM newest) FROM hit',
        owned, cursor_is, direction, said.plain, said.in_words, direction, direction, direction);
    lookup := format('WITH found AS MATERIALIZED (SELECT event_id, recorded_at FROM public.audit_event WHERE'
        ' {TERMS_OF_ROW} @@ %L::tsquery AND %s AND %s AND recorded_at >= $1 AND recorded_at < $2 LIMIT $4),'
        ' page AS (SELECT * FROM found %s LIMIT $3)'
        ' SELECT array_agg(event_id %s), array_agg(recorded_at %s), (SELECT count(*) FROM found) FROM page',
        said.query, said.plain, cursor_is, direction, direction, direction);
    -- Where one partition ends and the next begins; beyond the first and the last lies the one for all others.
    bounds := ARRAY(SELECT DISTINCT b::timestamptz FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid,
        regexp_matches(pg_get_expr(c.relpartbound, c.oid), '\\(''([^'']+)''\\)', 'g') m, unnest(m) b
        WHERE inhparent = 'public.audit_event'::regclass);
    SELECT array_agg(greatest(l, since) ORDER BY CASE WHEN newer THEN l END, l DESC),
        array_agg(least(h, until) ORDER BY CASE WHEN newer THEN l END, l DESC) INTO lows, highs
        FROM (SELECT lag(b, 1, '-infinity') OVER (ORDER BY b) AS l, b AS h
              FROM unnest(bounds || 'infinity'::timestamptz) b) span
        WHERE (since IS NULL OR h > since) AND (until IS NULL OR l < until);
    WHILE first <= cardinality(lows) AND wanted > 0 LOOP
        last := least(first + width - 1, cardinality(lows));
        IF width = 1 THEN
            EXECUTE probe INTO ids, moments, seen USING lows[first], highs[first], budget, wanted;
            IF seen = budget AND coalesce(cardinality(ids), 0) < wanted THEN
                EXECUTE lookup INTO ids, moments, seen USING lows[first], highs[first], wanted, NULL::integer;
                width := 2;
            ELSE
                budget := budget - seen;
            END IF;
        ELSE
            EXECUTE lookup INTO ids, moments, seen USING least(lows[first], lows[last]),
                greatest(highs[first], highs[last]), wanted, bearable;
            IF seen = bearable THEN
                width := 1;
                budget := least(look, 1000);
                CONTINUE;
            END IF;
            width := width * 2;
        END IF;
        RETURN QUERY SELECT * FROM unnest(ids, moments);
        wanted := wanted - coalesce(cardinality(ids), 0);
        first := last + 1;
    END LOOP;
END $$;
"""

# From statistics, so it tells no more of a row than how usual a value is in the scope. EXPLAIN wants it volatile.
ESTIMATE = f"""
CREATE FUNCTION estimate_events(asked uuid[], criteria jsonb, since timestamptz, until timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    scope uuid[] := ARRAY(SELECT w FROM unnest(asked) w WHERE w = ANY ({SCOPE}));
    said record; plan json;
BEGIN
    IF cardinality(scope) = 0 THEN RETURN 0; END IF;
    said := audit_criteria(criteria, scope);
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM public.audit_event WHERE %s AND %s AND recorded_at >= %L'
        ' AND recorded_at < %L', said.plain, said.in_words, coalesce(since, '-infinity'), coalesce(until, 'infinity'))
        INTO plan;
    RETURN (plan->0->'Plan'->>'Plan Rows')::bigint;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_seal")]

    operations = [
        migrations.RunSQL(WORDS, "DROP FUNCTION audit_words(text);"),
        migrations.RunSQL(RELEASE, "DROP FUNCTION audit_release(text, text, text, jsonb);"),
        migrations.RunSQL(TERMS, "DROP FUNCTION audit_terms;"),
        migrations.RunSQL(INDEXES, "DROP INDEX audit_event_moment, audit_event_terms;"),
        migrations.RunSQL(
            QUERIES,
            "DROP FUNCTION audit_matches; DROP FUNCTION audit_text_query; DROP FUNCTION audit_term;",
        ),
        migrations.RunSQL(CRITERIA, "DROP FUNCTION audit_criteria;"),
        migrations.RunSQL(SEARCH, "DROP FUNCTION search_events;"),
        definer("search_events(uuid[], jsonb, timestamptz, timestamptz, timestamptz, uuid, boolean, integer, integer)"),
        migrations.RunSQL(ESTIMATE, "DROP FUNCTION estimate_events;"),
        definer("estimate_events(uuid[], jsonb, timestamptz, timestamptz)"),
        migrations.CreateModel(
            name="SavedFilter",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("workspace_id", models.UUIDField()),
                ("owner_id", models.UUIDField()),
                ("owner_label", models.CharField(max_length=150)),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(max_length=1000)),
                ("is_shared", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["name", "pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("workspace_id", "owner_id", "name"),
                        name="one_saved_filter_of_a_name",
                        violation_error_message="You have a filter of this name already.",
                    )
                ],
            },
        ),
        protect("audit_savedfilter"),
    ]
