"""python3 -m deploy.launcher run | manage <command of manage.py> | install <run|traces|test|dev>"""

import os
import signal
import sys

from deploy.launcher import install, ports
from deploy.launcher.console import Refused, say
from deploy.launcher.lock import Lock
from deploy.launcher.paths import ROOT, data_directory, make_private

OLDEST = (3, 11)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a half-done installation is ended as well
    if sys.version_info < OLDEST:
        say(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. Name another: make run PYTHON=...")
        return 1
    if sys.platform != "linux":
        say("The embedded engines run on Linux (x86_64 and aarch64, glibc) alone.")
        return 1
    try:
        return _dispatch(arguments)
    except Refused as refusal:
        say(str(refusal))
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case ["run"]:
            data = make_private(data_directory())
            if not os.access(data, os.W_OK):
                raise Refused(f"{data} belongs to another user: start as that user, or remove it.")
            held = Lock.open(data)
            held.take()
            ports.require_free(chosen_host(), chosen_port())
            python = install.ensure("traces" if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") else "run")
            return os.execv(python, [str(python), "-m", "deploy.launcher", "serve", held.pass_on()])  # noqa: S606
        case ["serve", descriptor]:
            # Imported here: it needs the packages that `run` has just installed.
            from deploy.launcher import front

            return front.serve(Lock.received(data_directory(), descriptor), chosen_host(), chosen_port())
        case ["manage", command, *more]:
            known = Lock.holder_of(data_directory()).get("settings")
            if known is None:
                raise Refused("The portal does not run, or is still starting: its commands need it. Start it: make run")
            python = install.ensure("run")
            return os.execve(python, [str(python), str(ROOT / "manage.py"), command, *more], os.environ | known)  # noqa: S606
        case ["install", purpose] if purpose in install.LISTS:
            install.ensure(purpose)
            return 0
        case _:
            say(__doc__ or "")
            return 2


def chosen_host() -> str:
    return os.environ.get("HOST") or "127.0.0.1"


def chosen_port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Refused(f"PORT={text} is not a port: use a number from 1 to 65535.")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
