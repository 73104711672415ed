"""Search and estimate open only months that hold entries (ADR 0120).

To plan for a month, a new connection reads what the database knows of it and its eleven indexes first, some
milliseconds each: the twelve months made ahead were half of what the first page of a connection waited for.
"""

from importlib import import_module

from django.db import migrations

from apps.core.row_level_security import SCOPE, definer

before = import_module("apps.audit.migrations.0009_search_by_days")
first = import_module("apps.audit.migrations.0005_search")

# Every span of time that may hold entries: a month's own, and those that are left to the partition for all others.
MONTHS = r"""
CREATE FUNCTION audit_months(OUT low timestamptz, OUT high timestamptz, OUT entries real) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    WITH part AS MATERIALIZED (
        SELECT m[1]::timestamptz AS low, m[2]::timestamptz AS high, greatest(reltuples, 1) AS entries,
            pg_relation_size(c.oid) > 0 AS is_filled
        FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid,
            regexp_match(pg_get_expr(c.relpartbound, c.oid), '\(''([^'']+)''\) TO \(''([^'']+)''\)') m
        WHERE inhparent = 'public.audit_event'::regclass
    ), rest AS (
        SELECT lag(high, 1, '-infinity') OVER (ORDER BY low) AS low, low AS high
        FROM (SELECT low, high FROM part WHERE low IS NOT NULL
            UNION ALL SELECT 'infinity'::timestamptz, 'infinity'::timestamptz) bound
    )
    SELECT low, high, entries FROM part WHERE is_filled AND low IS NOT NULL
    UNION ALL
    SELECT rest.low, rest.high, other.entries FROM rest, part AS other
    WHERE rest.low < rest.high AND other.low IS NULL AND other.is_filled
$$;
"""

START, END = (
    before.SEARCH.index("    -- The months to come"),
    before.SEARCH.index("    IF cardinality(scope) = 1 THEN owned"),
)
SEARCH = before.SEARCH[:START] + before.SEARCH[END:]
START, END = SEARCH.index("    -- Where one partition ends"), SEARCH.index("    months := coalesce")
SEARCH = (
    SEARCH[:START]
    + """    SELECT array_agg(greatest(l, since) ORDER BY CASE WHEN newer THEN l END, l DESC),
        array_agg(least(h, until) ORDER BY CASE WHEN newer THEN l END, l DESC) INTO lows, highs
        FROM public.audit_months() month (l, h) WHERE (since IS NULL OR h > since) AND (until IS NULL OR l < until);
"""
    + SEARCH[END:]
)
# Whose entries they are is a term of nearly each entry, for who reads nearly all: to follow it takes longer than the rest.
OF_MANY = """    start := edge;
    IF cardinality(scope) > 1 AND wanted > 0 AND month <= months THEN
        SELECT count(*) FILTER (WHERE workspace_id = ANY (scope)) * 2 > count(*) INTO is_most FROM (
            SELECT workspace_id FROM public.audit_event WHERE recorded_at >= lows[month] AND recorded_at < highs[month]
            ORDER BY recorded_at DESC LIMIT 200) newest;
        IF is_most AND position('&' IN said.query) > 0 THEN
            said.query := left(said.query, -length(substring(said.query FROM '&\\([^&]*\\)$')));
        END IF;
    END IF;
"""
TOO_MUCH = """            widest := days;
            IF edge <> start AND clock_timestamp() - began > patience THEN
                RETURN QUERY SELECT NULL::uuid, edge;
                RETURN;
            END IF;
"""
SEARCH = (
    SEARCH.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    .replace("bounds timestamptz[]; lows", "lows")
    .replace("    horizon timestamptz := clock_timestamp() + interval '1 day';\n", "")
    # What a slice holds too much of is read from all over the disk, to be taken anew: that has to be little, and counts.
    .replace("bearable CONSTANT integer := 1000;", "bearable CONSTANT integer := 200;")
    .replace("edge timestamptz; low", "edge timestamptz; start timestamptz; is_most boolean; low")
    .replace("    -- What the newest entries don't hold", f"{OF_MANY}    -- What the newest entries don't hold")
    .replace("            widest := days;\n", TOO_MUCH)
    # The index alone finds, and each row found is judged by the plain conditions afterwards: with both at once the
    # planner reads a second index of a whole month beside it, or starts processes for what takes less than that.
    .replace("SET search_path =", "SET max_parallel_workers_per_gather = 0 SET search_path =")
    .replace(
        "found AS MATERIALIZED (SELECT event_id, recorded_at FROM",
        f"found AS MATERIALIZED (SELECT event_id, {before.before.PARTS}, recorded_at FROM",
    )
    .replace("@@ $7::tsquery AND %s AND %s AND", "@@ $7::tsquery AND %s AND")
    .replace(
        "page AS (SELECT * FROM found %s LIMIT $3)",
        "page AS (SELECT event_id, recorded_at FROM found WHERE %s %s LIMIT $3)",
    )
    .replace(
        "        said.plain, past, direction, direction, direction);",
        "        past, said.plain, direction, direction, direction);",
    )
)
SEARCH_BEFORE = before.SEARCH.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")

# From statistics, so it tells no more of a row than how usual a value is in the scope. Months are planned one by one,
# each fourth of them first; where patience ends before all are, the rest is taken to be like them. EXPLAIN wants it
# volatile.
ESTIMATE = f"""
CREATE FUNCTION estimate_events(asked uuid[], criteria jsonb, since timestamptz, until timestamptz, patience interval)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    scope uuid[] := ARRAY(SELECT w FROM unnest(asked) w WHERE w = ANY ({SCOPE}));
    said record; month record; plan json; found float8 := 0; planned float8 := 0; entries float8 := 0;
BEGIN
    IF cardinality(scope) = 0 THEN RETURN 0; END IF;
    said := audit_criteria(criteria, scope);
    FOR month IN
        SELECT greatest(m.low, since) AS low, least(m.high, until) AS high, m.entries, sum(m.entries) OVER () AS whole
        FROM public.audit_months() m WHERE (since IS NULL OR m.high > since) AND (until IS NULL OR m.low < until)
        ORDER BY row_number() OVER (ORDER BY m.low DESC) % 4, m.low DESC
    LOOP
        EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM public.audit_event WHERE %s AND %s AND recorded_at >= %L'
            ' AND recorded_at < %L', said.plain, said.in_words, month.low, month.high) INTO plan;
        found := found + (plan->0->'Plan'->>'Plan Rows')::float8;
        planned := planned + month.entries;
        entries := month.whole;
        EXIT WHEN clock_timestamp() - began > patience;
    END LOOP;
    RETURN found * entries / greatest(planned, 1);
END $$;
"""
OF_ESTIMATE = "uuid[], jsonb, timestamptz, timestamptz"


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_search_by_days")]

    operations = [
        migrations.RunSQL(MONTHS, "DROP FUNCTION audit_months();"),
        migrations.RunSQL(SEARCH, SEARCH_BEFORE),
        migrations.RunSQL(migrations.RunSQL.noop, definer(f"estimate_events({OF_ESTIMATE})").sql),
        migrations.RunSQL(f"DROP FUNCTION estimate_events({OF_ESTIMATE});", first.ESTIMATE),
        migrations.RunSQL(ESTIMATE, f"DROP FUNCTION estimate_events({OF_ESTIMATE}, interval);"),
        definer(f"estimate_events({OF_ESTIMATE}, interval)"),
    ]
