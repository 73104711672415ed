"""The engines of one test run: PostgreSQL and Valkey in a temporary directory, never those of `make run`.

The owner migrates a template database once, and its cluster is kept between runs for as long as no migration changes.
Each process of the run clones it, and so does each test that commits; all of them connect as the application's role.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.launcher import ports, processes
from deploy.launcher.engines import Postgres, Valkey
from deploy.launcher.paths import ROOT, make_private
from deploy.launcher.processes import Program

PASSWORD = "only-for-tests"
TEMPLATE = "eaip_template"
KEPT_TEMPLATES = 30  # clones that test at the same time must not take each other's away
START_SECONDS = 60

PLACE = Path(tempfile.gettempdir()) / f"eaip-tests-{os.getuid()}"


@dataclass
class Engines:
    """The servers of this run, seen from one of its processes."""

    directory: Path
    postgres_port: int
    valkey_port: int
    durable: bool = False
    running: list[tuple[Program, subprocess.Popen[bytes]]] = field(default_factory=list)

    @classmethod
    def start(cls, *, durable: bool = False, kept: Path | None = None) -> "Engines":
        """Start them on a fresh cluster; on that in the folder `kept`, if one is named, which outlasts the run."""
        make_private(PLACE)
        _remove_what_was_left()
        engines = cls(make_private(PLACE / f"run-{os.getpid()}"), *ports.free_ports(2), durable=durable)
        if kept is None:
            _copy(_template_cluster(), engines.directory / "postgres")
        else:
            if not kept.exists():
                make_private(kept.parent)
                _copy(_template_cluster(), kept)
            (engines.directory / "postgres").symlink_to(kept)
        valkey = Valkey(engines.directory / "valkey", port=engines.valkey_port, password=PASSWORD, durable=False)
        valkey.prepare()
        engines._run(engines.postgres.program(), engines.postgres.is_ready)
        engines._run(valkey.program(), valkey.is_ready)
        return engines

    @classmethod
    def joined(cls) -> "Engines":
        """Return the engines that the run's first process has started."""
        directory, postgres_port, valkey_port = os.environ["EAIP_TEST_ENGINES"].split(os.pathsep)
        return cls(Path(directory), int(postgres_port), int(valkey_port))

    def note(self) -> str:
        return os.pathsep.join([str(self.directory), str(self.postgres_port), str(self.valkey_port)])

    def stop(self) -> None:
        for program, process in reversed(self.running):
            processes.stop(process, program)
        shutil.rmtree(self.directory, ignore_errors=True)

    @cached_property
    def postgres(self) -> Postgres:
        return Postgres(self.directory / "postgres", port=self.postgres_port, password=PASSWORD, durable=self.durable)

    def environment(self, process: str, number: int, *, keeps: bool = False) -> dict[str, str]:
        """Make what one process of the run needs; return the variables by which the settings find it.

        Its database is a fresh one, unless it `keeps` the one it has.
        """
        data = make_private(self.directory / process)
        (data / "static").symlink_to(os.environ["EAIP_TEST_STATIC"])
        database = f"eaip_{process}"
        return {
            "DJANGO_SETTINGS_MODULE": "eaip.settings",
            "DATABASE_URL": self.database_url(database) if keeps and self.has(database) else self.clone(database),
            "DATABASE_OWNER_URL": self.database_url(database, "eaip_owner"),
            "DATABASE_SEALER_URL": self.database_url(database, "eaip_sealer"),
            "REDIS_URL": self.redis_url(number),
            "SECRET_KEY": "only-for-tests",
            "AUDIT_IS_SEALED": "0",
            "DEBUG": "0",
            "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
            "EAIP_DATA_DIR": str(data),
            "EAIP_HAPROXY_SOCKET": str(data / "haproxy.sock"),
            "EAIP_HAPROXY_MASTER_SOCKET": str(data / "haproxy-master.sock"),
            "EAIP_HAPROXY_CONFIG_DIR": str(data / "haproxy"),
            "EAIP_SUPERVISOR_SOCKET": str(data / "supervisor.sock"),
            "EAIP_SUPERVISOR_CONFIG_DIR": str(data / "supervisor"),
            "EAIP_ARTIFACT_DIR": str(data / "artifacts"),
            "EAIP_TARGET_DIR": str(data / "target"),
            "EAIP_REPOSITORY_DIR": str(data / "repositories"),
        }

    def redis_url(self, number: int = 0) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.valkey_port}/{number}"

    def database_url(self, name: str, role: str = "eaip_app") -> str:
        return self.postgres.url(database=name, user=role)

    def has(self, name: str) -> bool:
        with self._administrator() as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        return found is not None

    def migrate(self, name: str) -> None:
        """Bring a database to what the code expects."""
        owner, sealer = (self.database_url(name, role) for role in ("eaip_owner", "eaip_sealer"))
        urls = {"DATABASE_URL": owner, "DATABASE_OWNER_URL": owner, "DATABASE_SEALER_URL": sealer}
        _manage("migrate", "--no-input", "--skip-checks", "--verbosity", "0", **urls)

    def clone(self, name: str, *, of: str = TEMPLATE) -> str:
        """Make a database like the migrated template or like another; return its address for the application's role."""
        with self._administrator() as connection:
            identifier = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER eaip_owner TEMPLATE {} STRATEGY FILE_COPY").format(
                    identifier, sql.Identifier(of)
                )
            )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(identifier))
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO eaip_app, eaip_owner, eaip_sealer, eaip_backup").format(
                    identifier
                )
            )
        return self.database_url(name)

    def drop(self, name: str) -> None:
        with self._administrator() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _administrator(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            yield connection

    def _run(self, program: Program, is_ready: Callable[[], bool]) -> None:
        log = self.directory / f"{program.name}.log"
        process = processes.spawn(program, log)
        self.running.append((program, process))
        wait_until(is_ready, process=process, log=log)


def wait_until(
    is_ready: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes],
    log: Path,
    limit_seconds: float = START_SECONDS,
) -> None:
    """Wait until a program answers. Raises RuntimeError with the end of its log when it ends or takes too long."""
    until = time.monotonic() + limit_seconds
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{log.stem} did not start ({process.poll()}):\n{processes.last_lines(log, 40)}")
        time.sleep(0.02)


def renamed(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def static_files() -> Path:
    """Return the collected static files, made anew when one of the sources has changed."""
    sources = [path for top in [ROOT / "static", *ROOT.glob("apps/*/static")] for path in top.rglob("*")]
    digest = hashlib.sha256((ROOT / "requirements" / "run.txt").read_bytes())
    for path in sorted(sources):
        digest.update(f"{path}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}\n".encode())
    place = PLACE / f"static-{digest.hexdigest()[:12]}"
    if not place.exists():
        fresh = PLACE / f"fresh-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        _manage("collectstatic", "--no-input", "--skip-checks", "--verbosity", "0", EAIP_DATA_DIR=str(fresh))
        _keep(fresh / "static", place)
        shutil.rmtree(fresh, ignore_errors=True)
        _forget_old("static-*")
    return place


def _template_cluster() -> Path:
    """Return a stopped cluster that holds the migrated template database."""
    place = PLACE / f"cluster-{_fingerprint()}"
    if place.exists():
        place.touch()
        return place
    making = Engines(make_private(PLACE / f"run-{os.getpid()}"), *ports.free_ports(2))
    making.postgres.prepare()
    making._run(making.postgres.program(), making.postgres.is_ready)
    _manage(
        "prepare_database",
        DATABASE_ADMIN_URL=making.postgres.url(),
        DATABASE_URL=making.database_url(TEMPLATE),
        DATABASE_OWNER_URL=making.database_url(TEMPLATE, "eaip_owner"),
        DATABASE_SEALER_URL=making.database_url(TEMPLATE, "eaip_sealer"),
    )
    making.migrate(TEMPLATE)
    for program, process in making.running:
        processes.stop(process, program)
    _keep(making.directory / "postgres", place)
    _forget_old("cluster-*")
    return place


def _fingerprint() -> str:
    """Return what the template depends on: the migrations, what they import, and the locked packages."""
    digest = hashlib.sha256((ROOT / "requirements" / "run.txt").read_bytes())
    patterns = ("apps/*/migrations/**/*.py", "apps/**/*.sql", "apps/core/**/*.py")
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _manage(command: str, *arguments: str, **environment: str) -> None:
    chosen = {"SECRET_KEY": "only-for-tests", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, "manage.py", command, *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | chosen | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


def _keep(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:  # another run was as quick
        if not place.exists():
            raise


def _forget_old(pattern: str) -> None:
    for old in sorted(PLACE.glob(pattern), key=lambda path: path.stat().st_mtime)[:-KEPT_TEMPLATES]:
        shutil.rmtree(old, ignore_errors=True)


def _remove_what_was_left() -> None:
    for old in PLACE.glob("run-*"):
        if not Path("/proc", old.name.removeprefix("run-")).exists():
            shutil.rmtree(old, ignore_errors=True)
