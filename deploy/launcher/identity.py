"""Who the database server runs as. It refuses to be root, so root starts it as somebody else.

In this order: inside a user namespace, where it is nobody and outside which its files stay root's; as the owner of the
folder, where that isn't root; as `nobody`. No user is made and no permission of a parent directory is touched.
"""

import ctypes
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from deploy.launcher.console import Refused
from deploy.launcher.paths import ROOT

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_USER_NAMESPACE = 0x10000000
_INNER_USER = 65534

Become = Callable[[], None]


def for_server(binary: Path, data: Path) -> Become | None:
    """Return what a child calls before it becomes the server: None for an ordinary user.

    `data` exists and stays readable for its owner alone. Raises Refused when none of the ways works.
    """
    if os.getuid() != 0:
        return None
    for owner, become in _candidates(data):
        if _works(become, owner, binary, data):
            return become
    raise Refused(
        "PostgreSQL can't run as root: this machine forbids user namespaces, and no other user can read "
        f"{binary.parent}. Start as an ordinary user, move the clone to where everybody may read, "
        "or name a server: DATABASE_URL=postgresql://... make run"
    )


def in_user_namespace() -> None:
    group = os.getgid()
    user = os.getuid()
    if _libc.unshare(_NEW_USER_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INNER_USER} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{_INNER_USER} {group} 1")


def as_user(user: int) -> Become:
    try:
        group = pwd.getpwuid(user).pw_gid
    except KeyError:
        group = user

    def become() -> None:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)

    return become


def _candidates(data: Path) -> list[tuple[int, Become]]:
    others = dict.fromkeys([ROOT.stat().st_uid, pwd.getpwnam("nobody").pw_uid])
    found = [(0, in_user_namespace), *((user, as_user(user)) for user in others if user)]
    if any(data.iterdir()):
        return [each for each in found if each[0] == data.stat().st_uid]
    return found


def _works(become: Become, owner: int, binary: Path, data: Path) -> bool:
    """Try it in a child: may it start the binary and write the data?"""
    before = data.stat()
    os.chown(data, owner, -1)
    if owner:
        data.parent.chmod(0o711)  # our own `.run`: to be passed through, not listed
    pid = os.fork()
    if pid == 0:
        try:
            become()
            os._exit(0 if os.access(binary, os.R_OK | os.X_OK) and os.access(data, os.W_OK | os.X_OK) else 1)
        except OSError:
            os._exit(1)
    works = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    if not works:
        os.chown(data, before.st_uid, before.st_gid)
    return works
