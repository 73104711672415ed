"""Search by slices of time: the day is a term too, and who searches is answered within their patience (ADR 0120).

The index is built anew beside the one there is, a month after the other and while writers write, so this is no single
transaction: what was ended half-way goes on where it was. The functions change with the index's name, at once.
`erase_person` looks in the index too and follows in compliance 0008.
"""

import time
from importlib import import_module
from typing import Any

from django.db import OperationalError, migrations, transaction
from psycopg.errors import LockNotAvailable

from apps.core.row_level_security import SCOPE, definer

before = import_module("apps.audit.migrations.0005_search")

PARTS = f"{before.PARTS}, recorded_at"
TERMS_OF_ROW = f"public.audit_terms({PARTS})"

# Days are numbered: with the date's text, the index would depend on who writes.
DAY = """
CREATE FUNCTION audit_day(moment timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    (moment AT TIME ZONE 'UTC')::date - date '2000-01-01';
"""

TERMS = (
    before.TERMS.replace("target jsonb)", "target jsonb, recorded_at timestamptz)")
    .replace("ARRAY['w=' || workspace_id", "ARRAY['d=' || public.audit_day(recorded_at), 'w=' || workspace_id")
    .replace("CASE WHEN outcome <> 'SUCCESS' THEN 'x=' || outcome END", "'x=' || outcome")
)

TYPES_BEFORE = "uuid, text, text, text, text, text, text, text, uuid, uuid, text, text, text, jsonb"
TYPES = f"{TYPES_BEFORE}, timestamptz"

CRITERIA_BEFORE = before.CRITERIA.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
CRITERIA = CRITERIA_BEFORE.replace(before.TERMS_OF_ROW, TERMS_OF_ROW).replace(
    """        IF criteria->>'outcome' <> 'SUCCESS' THEN
            terms := terms || public.audit_term('x=', criteria->>'outcome');
        END IF;
""",
    """        terms := terms || public.audit_term('x=', criteria->>'outcome');
""",
)

# Looks at the newest entries (or, for newer pages, at the next) one by one, which is enough where what is asked for is
# common. Where it is not, asks the index for one slice of time after the other: a day, then as many more days as the
# patience that is left allows, going by what the last slice took. Intersecting two long lists takes as long as they are
# long, found or not: the days' terms cut the lists, which the months' partitions do only roughly. A slice of several
# days that holds more than it bears to sort is taken anew as a shorter one.
#
# Tells ids only, which are then read under the policy. Where patience ends first, a last row without an id tells how
# far it came: everything from that moment on (for newer pages: before it) has been looked at. Each call looks at one
# slice at least.
SEARCH = f"""
CREATE FUNCTION search_events(asked uuid[], criteria jsonb, since timestamptz, until timestamptz,
    beyond timestamptz, beyond_id uuid, newer boolean, wanted integer, look integer, patience interval)
    RETURNS TABLE (id uuid, moment timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    scope uuid[] := ARRAY(SELECT w FROM unnest(asked) w WHERE w = ANY ({SCOPE}));
    said record; bounds timestamptz[]; lows timestamptz[]; highs timestamptz[]; direction text; back text;
    past text; owned text := 'true'; probe text; lookup text;
    ids uuid[]; moments timestamptz[]; seen integer; seen_id uuid; seen_at timestamptz;
    month integer := 1; months integer; edge timestamptz; low timestamptz; high timestamptz; terms text;
    whole_page CONSTANT integer := wanted; days integer; widest integer := 100000; is_whole boolean; last integer;
    slice_began timestamptz; took interval; remaining interval;
    nil CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    bearable CONSTANT integer := 1000;
    longer CONSTANT integer := 8;
    month_days CONSTANT integer := 30;
    horizon timestamptz := clock_timestamp() + interval '1 day';
BEGIN
    IF cardinality(scope) = 0 THEN RETURN; END IF;
    said := audit_criteria(criteria, scope);
    direction := CASE WHEN newer THEN 'ORDER BY recorded_at, event_id'
        ELSE 'ORDER BY recorded_at DESC, event_id DESC' END;
    back := CASE WHEN newer THEN 'ORDER BY recorded_at DESC, event_id DESC' ELSE 'ORDER BY recorded_at, event_id' END;
    past := '(recorded_at, event_id) ' || CASE WHEN newer THEN '>' ELSE '<' END || ' ($5, $6)';
    IF beyond IS NULL THEN
        beyond := CASE WHEN newer THEN '-infinity' ELSE 'infinity' END;
        beyond_id := nil;
    ELSIF newer THEN
        since := greatest(since, beyond);
    ELSE
        -- Where an earlier search ended, nothing of that moment itself is left: each answer has to come further.
        until := least(until, beyond + CASE WHEN beyond_id = nil THEN interval '0' ELSE interval '1 microsecond' END);
    END IF;
    -- The months to come are many and empty, unless somebody set the clock back. Planned for the moment, each time: a
    -- plan that is kept reads all of this month.
    EXECUTE 'SELECT least($2, $1) WHERE NOT EXISTS (SELECT FROM public.audit_event WHERE recorded_at >= $1)'
        INTO horizon USING horizon, until;
    until := coalesce(horizon, until);
    IF cardinality(scope) = 1 THEN owned := format('workspace_id = %L', scope[1]); END IF;
    probe := format('WITH newest AS MATERIALIZED (SELECT event_id, recorded_at, {PARTS.removesuffix(", recorded_at")}'
        ' FROM public.audit_event WHERE %s AND %s AND recorded_at >= $1 AND recorded_at < $2 %s LIMIT $4),'
        ' hit AS (SELECT event_id, recorded_at FROM newest WHERE %s AND %s %s LIMIT $3)'
        ' SELECT array_agg(event_id %s), array_agg(recorded_at %s), (SELECT count(*) FROM newest),'
        ' (SELECT event_id FROM newest %s LIMIT 1), (SELECT recorded_at FROM newest %s LIMIT 1) FROM hit',
        owned, past, direction, said.plain, said.in_words, direction, direction, direction, back, back);
    lookup := format('WITH found AS MATERIALIZED (SELECT event_id, recorded_at FROM public.audit_event WHERE'
        ' {TERMS_OF_ROW} @@ $7::tsquery AND %s AND %s AND recorded_at >= $1 AND recorded_at < $2 LIMIT $4),'
        ' page AS (SELECT * FROM found %s LIMIT $3)'
        ' SELECT array_agg(event_id %s), array_agg(recorded_at %s), (SELECT count(*) FROM found) FROM page',
        said.plain, past, direction, direction, direction);
    -- Where one partition ends and the next begins; beyond the first and the last lies the one for all others.
    bounds := ARRAY(SELECT DISTINCT b::timestamptz FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid,
        regexp_matches(pg_get_expr(c.relpartbound, c.oid), '\\(''([^'']+)''\\)', 'g') m, unnest(m) b
        WHERE inhparent = 'public.audit_event'::regclass);
    SELECT array_agg(greatest(l, since) ORDER BY CASE WHEN newer THEN l END, l DESC),
        array_agg(least(h, until) ORDER BY CASE WHEN newer THEN l END, l DESC) INTO lows, highs
        FROM (SELECT lag(b, 1, '-infinity') OVER (ORDER BY b) AS l, b AS h
              FROM unnest(bounds || 'infinity'::timestamptz) b) span
        WHERE (since IS NULL OR h > since) AND (until IS NULL OR l < until);
    months := coalesce(cardinality(lows), 0);
    WHILE look > 0 AND wanted > 0 AND month <= months LOOP
        EXECUTE probe INTO ids, moments, seen, seen_id, seen_at
            USING lows[month], highs[month], wanted, look, beyond, beyond_id;
        RETURN QUERY SELECT * FROM unnest(ids, moments);
        wanted := wanted - coalesce(cardinality(ids), 0);
        look := look - seen;
        IF look > 0 THEN
            month := month + 1;
        ELSE
            beyond := seen_at;
            beyond_id := seen_id;
            edge := CASE WHEN newer THEN seen_at ELSE seen_at + interval '1 microsecond' END;
        END IF;
    END LOOP;
    edge := coalesce(edge, CASE WHEN newer THEN lows[month] ELSE highs[month] END);
    -- What the newest entries don't hold is not likely to fill a page in a day. Of words that begin so, the index reads
    -- all of the month, whatever else is asked.
    days := CASE WHEN said.query LIKE '%:*%' THEN month_days WHEN wanted = whole_page THEN longer ELSE 1 END;
    WHILE wanted > 0 AND month <= months LOOP
        slice_began := clock_timestamp();
        last := least(month + greatest(days / month_days, 1) - 1, months);
        is_whole := days >= month_days OR NOT (isfinite(lows[month]) AND isfinite(highs[month]));
        IF newer THEN
            low := edge;
            high := CASE WHEN is_whole THEN highs[last] ELSE
                least(highs[month], date_trunc('day', edge, 'UTC') + days * interval '24 hours') END;
        ELSE
            high := edge;
            low := CASE WHEN is_whole THEN lows[last] ELSE greatest(lows[month],
                date_trunc('day', edge - interval '1 microsecond', 'UTC') - (days - 1) * interval '24 hours') END;
        END IF;
        terms := said.query;
        IF NOT is_whole THEN
            SELECT format('(%s)&%s', string_agg(public.audit_term('d=', day::text), '|'), terms) INTO terms FROM
                generate_series(public.audit_day(low), public.audit_day(high - interval '1 microsecond')) day;
        END IF;
        EXECUTE lookup INTO ids, moments, seen
            USING low, high, wanted, CASE WHEN days > 1 THEN bearable END, beyond, beyond_id, terms;
        IF seen = bearable AND days > 1 THEN
            days := greatest(days / longer, 1);
            widest := days;
            CONTINUE;
        END IF;
        RETURN QUERY SELECT * FROM unnest(ids, moments);
        wanted := wanted - coalesce(cardinality(ids), 0);
        edge := CASE WHEN newer THEN high ELSE low END;
        month := last + CASE WHEN edge = (CASE WHEN newer THEN highs[last] ELSE lows[last] END) THEN 1 ELSE 0 END;
        took := clock_timestamp() - slice_began;
        remaining := patience - (clock_timestamp() - began);
        IF remaining < took AND wanted > 0 AND month <= months THEN
            RETURN QUERY SELECT NULL::uuid, edge;
            RETURN;
        END IF;
        IF took * longer < remaining OR patience IS NULL THEN days := least(days * longer, widest); END IF;
    END LOOP;
END $$;
"""

ARGUMENTS = "uuid[], jsonb, timestamptz, timestamptz, timestamptz, uuid, boolean, integer, integer"


# The months whose index is not attached yet. One that is made from now on comes with it.
MISSING = """
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_event'::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits part JOIN pg_index ON indexrelid = part.inhrelid
    WHERE part.inhparent = to_regclass(%s) AND indrelid = pg_inherits.inhrelid)
ORDER BY 1
"""


def _briefly(schema_editor: Any, *statements: str) -> None:
    """Run, as one, what keeps writers waiting; wait two seconds at most to begin, and try again for two minutes."""
    for attempt in range(40):
        try:
            with transaction.atomic(schema_editor.connection.alias):
                for statement in ("SET LOCAL lock_timeout = '2s'", *statements):
                    schema_editor.execute(statement, params=None)
        except OperationalError as error:
            if attempt == 39 or not isinstance(error.__cause__, LockNotAvailable):
                raise
            time.sleep(1)
        else:
            return


def _build(schema_editor: Any, name: str, parts: str) -> None:
    """Build an index of terms, month by month, while writers write. What a failure left of a month is built again."""
    terms = f"USING gin ((audit_terms({parts}))) WITH (fastupdate = off)"
    _briefly(schema_editor, f"CREATE INDEX IF NOT EXISTS audit_event_{name} ON ONLY audit_event {terms}")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(MISSING, [f"audit_event_{name}"])
        months = [month for (month,) in cursor.fetchall()]
    for month in months:
        for statement in (
            f"DROP INDEX CONCURRENTLY IF EXISTS {month}_{name}",
            f"CREATE INDEX CONCURRENTLY {month}_{name} ON {month} {terms}",
            f"ALTER INDEX audit_event_{name} ATTACH PARTITION {month}_{name}",
        ):
            schema_editor.execute(statement, params=None)


def _is_there(schema_editor: Any, types: str) -> bool:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure(%s) IS NOT NULL", [f"audit_terms({types})"])
        return bool(cursor.fetchone()[0])


def forward(apps: Any, schema_editor: Any) -> None:
    if not _is_there(schema_editor, TYPES_BEFORE):
        return  # all of it was done, and not told of
    schema_editor.execute(f"{DAY} {TERMS}".replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), params=None)
    _build(schema_editor, "terms_of_days", PARTS)
    _briefly(
        schema_editor,
        "DROP INDEX audit_event_terms",
        "ALTER INDEX audit_event_terms_of_days RENAME TO audit_event_terms",
        f"DROP FUNCTION audit_terms({TYPES_BEFORE})",
        CRITERIA,
        f"DROP FUNCTION search_events({ARGUMENTS})",
        SEARCH,
        definer(f"search_events({ARGUMENTS}, interval)").sql,
    )


def backward(apps: Any, schema_editor: Any) -> None:
    if not _is_there(schema_editor, TYPES):
        return
    schema_editor.execute(before.TERMS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), params=None)
    _build(schema_editor, "terms_of_months", before.PARTS)
    _briefly(
        schema_editor,
        "DROP INDEX audit_event_terms",
        "ALTER INDEX audit_event_terms_of_months RENAME TO audit_event_terms",
        f"DROP FUNCTION audit_terms({TYPES})",
        "DROP FUNCTION audit_day(timestamptz)",
        CRITERIA_BEFORE,
        f"DROP FUNCTION search_events({ARGUMENTS}, interval)",
        before.SEARCH,
        definer(f"search_events({ARGUMENTS})").sql,
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audit", "0008_cosignatures")]
    operations = [migrations.RunPython(forward, backward)]
