"""Asks the launcher which identity it finds for PostgreSQL where no user namespace may be made.

`python -m tests.launcher.without_user_namespaces <directory>`, as root: in a namespace that maps every user and forbids
further ones. Prints how the data directory is owned and who the server would be.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

from deploy.launcher import identity

ALL = "0 0 4294967295"


def main(place: Path) -> None:
    made, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        if ctypes.CDLL(None).unshare(0x10000000):
            os._exit(2)
        os.write(made[1], b"x")
        os.read(go[0], 1)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        ask(place)
        os._exit(0)
    os.read(made[0], 1)
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{kind}").write_text(ALL)
    os.write(go[1], b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def ask(place: Path) -> None:
    for parent in (place, *place.parents[:-1]):
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    data = place / "postgres"
    data.mkdir(mode=0o700)
    become = identity.for_server(Path("/bin/true"), data)
    print(pwd.getpwuid(data.stat().st_uid).pw_name, flush=True)
    if become:
        become()
    print(os.getuid(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
