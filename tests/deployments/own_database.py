"""A PostgreSQL of a test's own, with a standby, behind an address that follows whichever of them is alive."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.launcher import identity, ports, processes
from deploy.launcher.engines import HAProxy, Postgres
from deploy.launcher.paths import make_private
from deploy.launcher.processes import Program
from tests.engines import PASSWORD, Engines, _copy, _template_cluster, wait_until
from tests.processes import Child

NAME = "eaip_own"

FRONT = """\
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen database
  bind 127.0.0.1:{front}
  default-server check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions
  server primary 127.0.0.1:{primary}
  server standby 127.0.0.1:{standby} backup
"""


@dataclass
class Server:
    """One server that may be ended and started again; durable, as in production."""

    postgres: Postgres
    log: Path
    child: Child | None = None

    def start(self) -> None:
        program = self.postgres.program()
        self.child = Child(program=program, process=processes.spawn(program, self.log), log=self.log)
        wait_until(self.postgres.is_ready, process=self.child.process, log=self.log)

    def end_at_once(self) -> None:
        """As a power cut would: no checkpoint, every session gone."""
        assert self.child is not None
        self.child.process.send_signal(signal.SIGQUIT)
        self.child.process.wait(30)

    def stop(self) -> None:
        if self.child and self.child.is_running():
            self.child.stop()

    def ask(self, question: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url(database=database), autocommit=True) as connection:
            done = connection.execute(question)  # type: ignore[call-overload]
            return done.fetchall() if done.description else []


@dataclass
class OwnDatabase:
    """`port` is where the portal finds it."""

    folder: Path
    port: int
    primary: Server
    standby: Server

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator["OwnDatabase"]:
        make_private(folder)
        front, first, second = ports.free_ports(3)
        _copy(_template_cluster(), folder / "postgres")
        engines = Engines(folder, first, 0, durable=True)
        standby = Postgres(folder / "standby", port=second, password=PASSWORD)
        own = cls(
            folder, front, Server(engines.postgres, folder / "primary.log"), Server(standby, folder / "standby.log")
        )
        proxy = None
        try:
            own.primary.start()
            engines.clone(NAME)
            proxy = own._front()
            yield own
        finally:
            if proxy:
                proxy.stop()
            own.standby.stop()
            own.primary.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def add_standby(self) -> None:
        """Copy the primary while it runs, and let the copy follow it."""
        postgres, target = self.primary.postgres, self.standby.postgres.directory
        subprocess.run(
            [
                postgres.binaries / "pg_basebackup",
                *("-d", postgres.url(), "-D", target, "-R", "-X", "stream", "-c", "fast", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            preexec_fn=identity.for_server(postgres.binaries / "postgres", postgres.directory),
            cwd="/",
        )
        self.standby.start()

    def standby_has_all(self) -> bool:
        """Whether what was committed before this question is replayed there."""
        ((sent,),) = self.primary.ask("SELECT pg_current_wal_lsn()::text")
        ((has,),) = self.standby.ask(f"SELECT pg_last_wal_replay_lsn() >= '{sent}'::pg_lsn")
        return bool(has)

    def cut_replication(self) -> None:
        """From now on, what is committed is the primary's alone."""
        self.standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.ask("SELECT pg_reload_conf()")

    def is_cut(self) -> bool:
        return not self.primary.ask("SELECT 1 FROM pg_stat_replication")

    def promote(self) -> None:
        assert self.standby.ask("SELECT pg_promote(true, 60)") == [(True,)]

    def _front(self) -> Child:
        configuration = self.folder / "front.cfg"
        first, second = self.primary.postgres.port, self.standby.postgres.port
        configuration.write_text(FRONT.format(front=self.port, primary=first, standby=second))
        binary = HAProxy(self.folder, self.folder).binary
        program = Program(name="front", command=(binary, "-db", "-f", configuration))
        log = self.folder / "front.log"
        proxy = Child(program=program, process=processes.spawn(program, log), log=log)
        through = Postgres(self.folder / "none", port=self.port, password=PASSWORD)
        wait_until(through.is_ready, process=proxy.process, log=log)
        return proxy
