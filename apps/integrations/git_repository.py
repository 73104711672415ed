"""A bare Git repository on disk, asked by argument lists with an environment of its own."""

import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import which
from typing import Any

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_FIELDS = "%H%x1f%an%x1f%ae%x1f%cI%x1f%s%x1f%b%x1e"
CLIFF = Path(__file__).with_name("cliff.toml")


class GitError(Exception):
    pass


class UnknownRef(GitError):
    pass


@dataclass(frozen=True, slots=True)
class Commit:
    hash: str
    author: str
    author_email: str
    committed_at: datetime
    subject: str
    body: str


class GitRepository:
    def __init__(self, path: Path, *, timeout: float = 60.0) -> None:
        self.path, self.timeout = path, timeout

    @classmethod
    def create(cls, path: Path, *, branch: str = "main") -> "GitRepository":
        path.mkdir(parents=True, exist_ok=True)
        repository = cls(path)
        repository.run("init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))
        return repository

    def resolve(self, ref: str) -> str:
        """Return the commit that a tag, branch or hash names. Raises UnknownRef."""
        if not _REF.fullmatch(ref) or ".." in ref:
            raise UnknownRef(f"Not a name of a tag, branch or commit: {ref!r}")
        try:
            return self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
        except GitError as error:
            raise UnknownRef(f"The repository has no {ref}.") from error

    def tags(self) -> dict[str, str]:
        """Return the commit of each tag, oldest first."""
        lines = self.run(
            "for-each-ref",
            "--sort=creatordate",
            "--format=%(refname:strip=2) %(objectname) %(*objectname)",
            "refs/tags",
        ).splitlines()
        return {name: peeled or commit for name, commit, peeled in (line.split(" ", 2) for line in lines)}

    def commit(self, commit: str) -> Commit:
        return self._log("--max-count=1", _require_commit(commit))[0]

    def commits(self, since: str | None, until: str) -> tuple[Commit, ...]:
        """Return the commits that `until` has and `since` has not, newest first; both full hashes."""
        excluded = [f"^{_require_commit(since)}"] if since else []
        return self._log(_require_commit(until), *excluded)

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Say whether a commit is in the history of another, or is it. Raises UnknownRef: one of them is not there."""
        answer = self._call("merge-base", "--is-ancestor", _require_commit(commit), _require_commit(of))
        if answer.returncode not in {0, 1}:
            raise UnknownRef(f"The repository has no {commit} or no {of}.")
        return answer.returncode == 0

    def changed_paths(self, since: str | None, until: str) -> list[str]:
        """Return the files that differ between two commits, renamed ones under both names; all, if there is no first.

        Both full hashes; sorted.
        """
        if since is None:
            names = self.run("ls-tree", "-r", "--name-only", "-z", _require_commit(until))
        else:
            commits = _require_commit(since), _require_commit(until)
            names = self.run("diff", "--name-only", "--no-renames", "-z", *commits, "--")
        return sorted(name for name in names.split("\0") if name)

    def archive(self, commit: str, to: Path) -> None:
        """Write the files of a commit as a tar file, the same bytes for the same commit."""
        self.run("archive", "--format=tar", f"--output={to}", _require_commit(commit))

    def file(self, commit: str, path: str, *, limit: int) -> bytes:
        """Return the content of a file at a commit. Raises UnknownRef: it has none. Raises GitError: over `limit`."""
        name = f"{_require_commit(commit)}:{path}"
        try:
            size = int(self.run("cat-file", "-s", name))
        except GitError as error:
            raise UnknownRef(f"The commit {commit[:12]} has no file {path}.") from error
        if size > limit:
            raise GitError(f"The file {path} has {size:,} bytes, which is over {limit:,}.")
        answer = _start([*self._git, "cat-file", "blob", name], cwd=self.path, timeout=self.timeout)
        if answer.returncode:
            raise UnknownRef(f"{path} is not a file in the commit {commit[:12]}.")
        return bytes(answer.stdout)

    def changelog(self, since: str | None, until: str) -> list[dict[str, Any]]:
        """Return the releases between two tags as git-cliff sees them: commits with type, scope, breaking text, links.

        Conventional or not, no commit is left out. Shapes: git-cliff's `--context`, newest release first.
        """
        scope = f"{self.resolve(since)}..{self.resolve(until)}" if since else self.resolve(until)
        binary = which("git-cliff", path=sysconfig.get_path("scripts")) or which("git-cliff")
        if binary is None:
            raise GitError("git-cliff is missing: the portal's packages are not installed completely.")
        arguments = [binary, "--config", str(CLIFF), "--repository", str(self.path), "--context", scope]
        answer = _run(arguments, cwd=self.path, timeout=self.timeout)
        if answer.returncode:
            raise GitError(f"git-cliff failed: {answer.stderr.strip()[-300:]}")
        releases: list[dict[str, Any]] = json.loads(answer.stdout)
        return releases

    def run(self, *arguments: str) -> str:
        answer = self._call(*arguments)
        if answer.returncode:
            raise GitError(f"git {arguments[0]} failed: {answer.stderr.strip()[-300:] or answer.returncode}")
        return answer.stdout

    def _log(self, *arguments: str) -> tuple[Commit, ...]:
        text = self.run("log", f"--format={_FIELDS}", *arguments, "--")
        rows = (row.strip("\n").split("\x1f") for row in text.split("\x1e") if row.strip("\n"))
        return tuple(
            Commit(row[0], row[1], row[2], datetime.fromisoformat(row[3]), row[4], row[5].strip()) for row in rows
        )

    def _call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return _run([*self._git, *arguments], cwd=self.path, timeout=self.timeout)

    @property
    def _git(self) -> list[str]:
        return ["git", "-c", f"safe.directory={self.path}"]


def _run(arguments: Sequence[str], *, cwd: Path, timeout: float) -> "subprocess.CompletedProcess[str]":
    return _start(arguments, cwd=cwd, timeout=timeout, text=True, errors="replace")


def _start(
    arguments: Sequence[str], *, cwd: Path, timeout: float, **decoding: Any
) -> "subprocess.CompletedProcess[Any]":
    # Neither the user's settings nor the machine's, no prompt, no pager, no protocol but the disk.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    try:
        return subprocess.run(
            arguments,
            cwd=cwd,
            env=environment,
            timeout=timeout,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            **decoding,
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(f"{Path(arguments[0]).name} took longer than {timeout:.0f} s.") from error
    except OSError as error:
        raise GitError(f"{Path(arguments[0]).name} can't be started: {error.strerror}.") from error


def _require_commit(commit: str) -> str:
    if not _COMMIT.fullmatch(commit):
        raise UnknownRef(f"Not a full commit hash: {commit!r}")
    return commit
