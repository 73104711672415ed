"""Writing the signed bundle of a whole log, and checking it offline, beside a bare SHA-256 over the same bytes.

The log has a checkpoint for each thousand entries, as the sealer signs them under load. The check is the client as an
auditor runs it: a process of its own, without the portal's packages (signatures by its own arithmetic), and once with
`cryptography`. BENCH_EVENTS=200000 for a quick look.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

django.setup()

import psutil
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.audit.bundle import Bundle
from apps.audit.keys import SigningKey
from apps.audit.merkle import Tree
from apps.audit.notes import Checkpoint
from apps.audit.sealing import seal
from apps.core.platform import PLATFORM_WORKSPACE_ID
from bench.table import print_table
from deploy.launcher.paths import ROOT
from tests.engines import Engines

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
EACH = 1_000
FILL = """
INSERT INTO audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
    target_type, target_id, target_label, request_id, summary, reason, actor, source, target, change, approval,
    causation, canonical)
SELECT id, %(workspace)s, at, 'release.sealed', 'SUCCESS', 'PERSON', md5(n::text), 'Release engineer', 'release',
    md5(n::text), 'service 1.' || n, md5(n::text), 'Sealed release 1.' || n, '', '{}', '{}', '{}', '{}', '{}', '{}',
    convert_to(jsonb_build_object(
        'event_id', id, 'workspace_id', %(workspace)s::text, 'kind', 'release.sealed', 'outcome', 'SUCCESS',
        'recorded_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'schema_version', 1,
        'actor', jsonb_build_object('type', 'PERSON', 'id', md5(n::text), 'label', 'Release engineer'),
        'source', jsonb_build_object('ip', '127.0.0.1', 'via', 'page', 'request_id', md5(n::text)),
        'target', jsonb_build_object('type', 'release', 'id', md5(n::text), 'label', 'service 1.' || n),
        'change', jsonb_build_object('state', jsonb_build_object('before', 'DRAFT', 'after', 'SEALED')),
        'summary', 'Sealed release 1.' || n, 'reason', repeat('x', 200))::text, 'UTF8')
FROM generate_series(1, %(rows)s) n,
LATERAL (SELECT now() - ((%(rows)s - n) || ' milliseconds')::interval AS at) t,
LATERAL (SELECT uuidv7(at - now()) AS id) i
"""


def main() -> None:
    key = SigningKey(Ed25519PrivateKey.generate())
    _fill(key)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.zip"
        wrote, peak = _write(path)
        size = path.stat().st_size / 1e6
        bare = min(_bare(path) for _ in range(3))
        rows = [
            ("SHA-256 of the same bytes", f"{bare:.1f} s", "1.0", ""),
            ("write the bundle", f"{wrote:.1f} s", f"{wrote / bare:.1f}", f"{peak:+.0f} MB"),
        ]
        for name, flags in (("verify, own arithmetic", ["-I", "-S"]), ("verify, cryptography", ["-I"])):
            took, memory = _verify(path, key, flags)
            rows.append((name, f"{took:.1f} s", f"{took / bare:.1f}", f"{memory:.0f} MB"))
    print_table(
        f"{EVENTS:,} entries, {EVENTS // EACH:,} checkpoints, {size:.0f} MB (goal: verify in 60 s, 300 MB)",
        ("what", "time", "times the bare hash", "memory"),
        rows,
    )


def _fill(key: SigningKey) -> None:
    database = os.environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    with psycopg.connect(Engines.joined().postgres.url(database=database), autocommit=True) as admin:
        admin.execute(FILL, {"workspace": PLATFORM_WORKSPACE_ID, "rows": EVENTS})
        admin.execute("ANALYZE audit_event")
        admin.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", [key.id, key.public])
        now = datetime.now(UTC)
        seal(admin, key, each=timedelta(0), at_least=timedelta(hours=1))
        admin.execute("ANALYZE audit_leaf")
        tree, notes = Tree(), []
        for (leaf,) in admin.cursor().stream("SELECT leaf_hash FROM audit_leaf ORDER BY leaf_index"):
            tree.append(bytes(leaf))
            if tree.size % EACH == 0 and tree.size < EVENTS:
                at = now - timedelta(milliseconds=EVENTS - tree.size)
                notes.append(Checkpoint(PLATFORM_WORKSPACE_ID, tree.size, tree.root, at))
        admin.cursor().executemany(
            "INSERT INTO audit_checkpoint (workspace_id, tree_size, root_hash, signed_at, key_id, note)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [(n.workspace_id, n.size, n.root, n.at, key.id, n.signed(key.private)) for n in notes],
        )


def _write(path: Path) -> tuple[float, float]:
    """Return seconds, and how much the process grew at most."""
    process, peak = psutil.Process(), 0
    idle, started = process.memory_info().rss, time.perf_counter()
    with path.open("wb") as file:
        bundle = Bundle(PLATFORM_WORKSPACE_ID, asked_by="Bench", now=datetime.now(UTC))
        for number, block in enumerate(bundle.blocks()):
            file.write(block)
            if number % 256 == 0:
                peak = max(peak, process.memory_info().rss)
    return time.perf_counter() - started, (peak - idle) / 1e6


def _bare(path: Path) -> float:
    with zipfile.ZipFile(path) as archive:
        started, digest = time.perf_counter(), hashlib.sha256()
        for name in archive.namelist():
            with archive.open(name) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return time.perf_counter() - started


def _verify(path: Path, key: SigningKey, flags: list[str]) -> tuple[float, float]:
    client, vkey = str(ROOT / "clients" / "verify_audit.py"), str(key.vkey(PLATFORM_WORKSPACE_ID))
    command = [sys.executable, *flags, client, "verify", str(path), "--key", vkey]
    started, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            with suppress(psutil.Error):
                peak = max(peak, psutil.Process(child.pid).memory_info().rss)
            time.sleep(0.02)
    assert child.returncode == 0
    return time.perf_counter() - started, peak / 1e6


if __name__ == "__main__":
    main()
