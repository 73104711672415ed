"""The start of the portal, step by step, and its watch until somebody asks for the end."""

import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

from deploy.launcher import credentials, ports, processes, servers
from deploy.launcher.console import Refused, Step, say
from deploy.launcher.engines import HAProxy, Supervisord
from deploy.launcher.keeper import Keeper, Stopped
from deploy.launcher.lock import Lock
from deploy.launcher.paths import ROOT, data_directory, make_private, socket_directory
from deploy.launcher.processes import Program

Environment = dict[str, str]


def run(lock: Lock, stop_pipe: int, host: str, port: int) -> int:
    """Run the portal until it is asked to stop; return the exit code."""
    data = data_directory()
    keeper = Keeper(make_private(data / "log"), stop_pipe)
    code = 0
    try:
        target = DeploymentTarget(data)
        address, sealer, settings = _start(keeper, data, host, port, target.environment())
        began = lock.read()["began"]  # by the process that took the lock, before anything was installed
        lock.note(pid=os.getppid(), began=began, address=address, settings=settings)
        say(f"\nEAIP Operations answers after {time.monotonic() - began:.0f} s:  {address}\n")
        target.start(keeper)
        _work_behind_it(keeper, data, sealer)
        while True:
            keeper.tick(1)
    except Stopped:
        say("\nStopping ...")
    except Refused as refusal:
        say(f"\n{refusal}")
        code = 1
    finally:
        ended = time.monotonic()
        keeper.stop_all()
        processes.end_descendants()
    say(f"Stopped in {time.monotonic() - ended:.1f} s. All data is kept in {data}")
    return code


def _start(
    keeper: Keeper, data: Path, host: str, port: int, target: Environment
) -> tuple[str, Environment, Environment]:
    """Return where it answers, the environment of what seals the audit trail (empty where nothing can), and what
    commands have to be told to work on this portal.
    """
    secrets = credentials.load(data)
    environment = _basics(data, secrets, port) | target
    database = servers.database(keeper, data, secrets)
    os.environ.update(environment | database.environment())
    os.environ["REDIS_URL"] = servers.broker(keeper, data, secrets)
    static_files = StaticFiles(keeper, data)  # beside the migration: neither needs the other
    _prepare_database(keeper, database)
    for name in ("DATABASE_ADMIN_URL", "DATABASE_OWNER_URL"):  # nothing that serves may have them
        os.environ.pop(name, None)
    everything = dict(os.environ)
    sealer = everything if os.environ.pop("DATABASE_SEALER_URL", "") else {}
    static_files.wait()
    ports.require_free(host, port)
    told = [*environment, "DATABASE_URL", "DATABASE_SEALER_URL", "REDIS_URL"]
    return _serve(keeper, host, port), sealer, {name: everything[name] for name in told if name in everything}


def _basics(data: Path, secrets: dict[str, str], port: int) -> Environment:
    chosen = {
        "DJANGO_SETTINGS_MODULE": "eaip.settings",
        "SECRET_KEY": secrets["secret_key"],
        "METRICS_TOKEN": secrets["metrics"],
        "DEBUG": "0",
        "DEMONSTRATION": "1",
        "WEB_PROCESSES": "2",
        "EAIP_ARTIFACT_DIR": str(data / "artifacts"),
        "EAIP_TARGET_DIR": str(data / "target"),
        "EAIP_REPOSITORY_DIR": str(data / "repositories"),
    }
    fixed = {
        "PORT": str(port),
        "EAIP_DATA_DIR": str(data),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    return {name: os.environ.get(name) or value for name, value in chosen.items()} | fixed


class DeploymentTarget:
    """What fronts deployed programs, and what keeps them."""

    def __init__(self, data: Path) -> None:
        sockets = socket_directory(data)
        self.proxy = HAProxy(data / "haproxy", sockets)
        self.supervisor = Supervisord(data / "supervisor", sockets, data / "log")

    def environment(self) -> Environment:
        return {
            "EAIP_HAPROXY_SOCKET": str(self.proxy.socket),
            "EAIP_HAPROXY_MASTER_SOCKET": str(self.proxy.master_socket),
            "EAIP_HAPROXY_CONFIG_DIR": str(self.proxy.directory),
            "EAIP_SUPERVISOR_SOCKET": str(self.supervisor.socket),
            "EAIP_SUPERVISOR_CONFIG_DIR": str(self.supervisor.directory),
        }

    def start(self, keeper: Keeper) -> None:
        """Start both. Everything that was deployed comes back by itself, which keeps the machine busy for a moment."""
        with Step("Starting the deployment target", "Deployment target started (HAProxy, supervisor)") as step:
            for engine in (self.proxy, self.supervisor):
                engine.prepare()
                keeper.wait_ready(keeper.start(engine.program()), engine.is_ready, step=step)


def _prepare_database(keeper: Keeper, database: servers.Database) -> None:
    wanted = _fingerprint(["apps/*/migrations/*.py", "apps/core/management/commands/*.py"])
    if database.embedded and servers.remark(database.owner) == wanted:
        return  # nobody else writes to it, so what was done before still stands
    if database.admin:
        with Step("Preparing roles and database", "Roles and database ready") as step:
            keeper.run(_manage("prepare_database"), step=step)
    as_owner = dict(os.environ) | {"DATABASE_URL": database.owner}
    with Step("Migrating the database", "Database migrated") as step:
        keeper.run(_manage("migrate", "--no-input", environment=as_owner), step=step)
    if database.embedded:
        servers.write_remark(database.owner, wanted)


class StaticFiles:
    """Collects the static files in the background, when one of them has changed since they were collected last."""

    def __init__(self, keeper: Keeper, data: Path) -> None:
        self.keeper, self.stamp = keeper, data / "static.stamp"
        self.wanted = _fingerprint(["static/**/*", "apps/*/static/**/*"])
        known = self.stamp.read_text() if self.stamp.exists() else ""
        command = _manage("collectstatic", "--no-input", "--clear", "--verbosity", "0")
        self.collecting = None if known == self.wanted else keeper.start(command)

    def wait(self) -> None:
        if self.collecting:
            with Step("Collecting static files", "Static files collected") as step:
                self.keeper.finish(self.collecting, step=step)
            self.stamp.write_text(self.wanted)


def _fingerprint(patterns: list[str]) -> str:
    """Return what tells two states of these files and of the locked packages apart."""
    digest = hashlib.sha256((ROOT / "requirements" / "run.txt").read_bytes())
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _serve(keeper: Keeper, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    web = _python(
        "web",
        *("-m", "uvicorn", "eaip.asgi:application", "--host", host, "--port", str(port)),
        *("--workers", os.environ["WEB_PROCESSES"], "--no-access-log"),
        *("--timeout-graceful-shutdown", "1", "--backlog", "4096"),
        # On a busy machine one takes longer to come up than the usual 5 s, and was killed and begun anew for ever.
        *("--timeout-worker-healthcheck", "60"),
    )
    with Step("Starting the web server", "Web server started") as step:
        serving = keeper.start(web)
        asked = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
        keeper.wait_ready(serving, lambda: _answers(asked), step=step, limit_seconds=120)
    return address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  our own address
            return True
    except urllib.error.HTTPError as refusal:
        return refusal.code < 500
    except OSError:
        return False


def _work_behind_it(keeper: Keeper, data: Path, sealer: Environment) -> None:
    """Start what people don't wait for. The demonstration's command itself says what it does and who may sign in."""
    worker = ("--pool", "threads", "--concurrency", "8", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
    keeper.start(_python("worker", "-m", "celery", "-A", "eaip", "worker", *worker))
    scheduler = ("--schedule", str(data / "scheduler"), "--pidfile", "")
    keeper.start(_python("scheduler", "-m", "celery", "-A", "eaip", "beat", *scheduler))
    if sealer:
        keeper.start(replace(_python("seal", "manage.py", "seal"), environment=sealer))
    if os.environ["DEMONSTRATION"] == "1":
        target = make_private(Path(os.environ["EAIP_TARGET_DIR"]))
        keeper.start(_python("traffic", "-m", "deploy.local.traffic", *map(str, _traffic_files(target))))
        quiet = dict(os.environ) | {"LOG_LEVEL": "WARNING"}  # its own lines are for people, the log's are not
        keeper.start(_manage("load_demonstration", "--stay", environment=quiet, shown=True))


def _traffic_files(target: Path) -> tuple[Path, Path]:
    """Return where the portal names the lanes to visit, and where the visitor keeps its counts."""
    return target / "lanes.json", target / "traffic.json"


def _manage(command: str, *arguments: str, environment: Environment | None = None, shown: bool = False) -> Program:
    return Program(
        name=command.replace("_", "-"),
        command=(sys.executable, "manage.py", command, *arguments),
        environment=environment or dict(os.environ),
        rank=2,
        restarts=False,
        shown=shown,
    )


def _python(name: str, *arguments: str) -> Program:
    return Program(
        name=name, command=(sys.executable, *arguments), environment=dict(os.environ), rank=2, stop_seconds=3
    )
