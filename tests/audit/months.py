"""A ledger of several months, more than a search looks at one by one, as only a superuser can make it."""

import psycopg

from apps.core.platform import PLATFORM_WORKSPACE_ID
from tests.engines import Engines

# Every other entry is sealed, the rest are created; one in ninety says "rarely". The last are in the table that is for
# all other months.
EVENTS = f"""
DO $$
DECLARE first timestamptz := date_trunc('month', now(), 'UTC');
BEGIN
    FOR n IN 1..3 LOOP
        EXECUTE format('CREATE TABLE audit_event_%s PARTITION OF audit_event FOR VALUES FROM (%L) TO (%L)',
            to_char(first - make_interval(months => n), 'YYYY_MM'), first - make_interval(months => n),
            first - make_interval(months => n - 1));
    END LOOP;
END $$;
INSERT INTO audit_event (workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label, target_type,
    target_id, target_label, request_id, summary, reason, actor, source, target, change, approval, causation, canonical)
SELECT '{PLATFORM_WORKSPACE_ID}', now() - n * interval '72 minutes' - CASE WHEN n > 1490 THEN interval '100 days'
    ELSE interval '0' END, 'release.' || verb, 'SUCCESS', 'SYSTEM', 'system', 'Portal', 'release', n, 'nothing', '',
    concat_ws(' ', verb, CASE WHEN n % 90 = 7 THEN 'rarely' END, CASE WHEN n > 500 THEN 'formerly' ELSE 'lately' END),
    '', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', ''
FROM (SELECT n, CASE WHEN n % 2 = 0 THEN 'sealed' ELSE 'created' END AS verb FROM generate_series(1, 1500) n) drawn
"""  # noqa: S608  an id of our own


def spread_over_months(engines: Engines, database: str) -> None:
    with psycopg.connect(engines.postgres.url(database=database), autocommit=True) as administrator:
        administrator.execute(EVENTS)
