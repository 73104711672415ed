"""From wheels to an environment of its own for each digest: made once, shared by every slot and lane that runs it."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from uv import find_uv_bin

from apps.core.crashpoints import crashpoint
from apps.deployments.executors.contract import (
    ArtifactRejected,
    Cancelled,
    Log,
    OutcomeUnknown,
    ReleaseFailed,
    ReleaseRef,
    TargetUntouched,
)
from apps.deployments.executors.guard import Lifeline, Outcome, run
from apps.deployments.executors.manifest import INDEX, Wheel, needed_here, wheels_of
from apps.integrations.artifact_store import ArtifactStore, DigestMismatch, NotStored, StoreFull
from apps.integrations.package_index import IndexFile, IndexUnreachable, NotFound, PackageIndex


class Installation:
    def __init__(self, store: ArtifactStore, index: PackageIndex, *, silence: float | None, limit: float) -> None:
        self.store, self.index, self.silence, self.limit = store, index, silence, limit

    def python(self, digest: str) -> Path:
        return self.folder(digest) / "bin" / "python"

    def folder(self, digest: str) -> Path:
        return self.store.root / "installed" / digest.removeprefix("sha256:")

    def is_installed(self, digest: str) -> bool:
        return self.python(digest).exists()

    def is_complete(self, release: ReleaseRef) -> bool:
        """Can it be installed, or run, without asking anybody outside?"""
        return self.is_installed(release.digest) or not self._missing(needed_here(wheels_of(release)))

    def verify(self, release: ReleaseRef, *, with_index: bool, log: Log) -> str:
        """Compare the manifest with what the index says now, and what the store holds with the manifest.

        Raises ArtifactRejected: any difference. Raises TargetUntouched: the index can't be asked.
        """
        wheels = needed_here(wheels_of(release))
        if with_index:
            from_index = [wheel for wheel in wheels if wheel.source == INDEX]
            for wheel, file in zip(from_index, self._look_up(from_index), strict=True):
                _require_same(wheel, file)
                note = " (withdrawn by its author)" if file.yanked else ""
                log(f"{wheel.filename} sha256:{wheel.sha256[:12]} as the index says{note}")
        held = [wheel for wheel in wheels if self.store.has(wheel.sha256)]
        for wheel in held:
            try:
                self.store.verify(wheel.sha256)
            except DigestMismatch as error:
                raise ArtifactRejected(f"{wheel.filename}: {error}") from error
        gone = [wheel for wheel in wheels if wheel not in held and not (with_index and wheel.source == INDEX)]
        if gone and not self.is_installed(release.digest):
            raise ArtifactRejected(f"The artifact store no longer holds {gone[0].filename}.")
        files = "1 wheel has" if len(wheels) == 1 else f"{len(wheels)} wheels have"
        return f"{files} the digests of the release ({len(held)} already in the store)."

    def fetch(self, release: ReleaseRef, *, lifeline: Lifeline, log: Log) -> None:
        """Bring the wheels that are missing into the store.

        Raises ArtifactRejected: what came isn't what was sealed. Raises TargetUntouched: no answer, or no room.
        """
        missing = self._missing(needed_here(wheels_of(release)))
        for wheel, file in zip(missing, self._look_up(missing), strict=True):
            if lifeline.is_cancelled:
                raise Cancelled("Cancelled while fetching.")
            _require_same(wheel, file)
            with _told_apart():
                self.store.put(self.index.chunks(file), sha256=wheel.sha256, size=wheel.size)
            log(f"fetched {wheel.filename}, {wheel.size / 1024:.0f} KB")

    def install(self, release: ReleaseRef, *, lifeline: Lifeline, log: Log, lock: int) -> bool:
        """Make the environment of a release from the store alone; False when it is there already.

        Raises ReleaseFailed: the installer refuses the wheels. Raises TargetUntouched: no room, no time, wheels gone.
        """
        with self._once(release.digest, lifeline):
            if self.is_installed(release.digest):
                return False
            with _told_apart(), self.store.folder("installed", self.folder(release.digest).name) as draft:
                self._fill(draft, needed_here(wheels_of(release)), lifeline=lifeline, log=log, lock=lock)
        return True

    def _fill(self, draft: Path, wheels: tuple[Wheel, ...], *, lifeline: Lifeline, log: Log, lock: int) -> None:
        wheel_folder = draft / "wheels"
        wheel_folder.mkdir()
        lines = []
        for wheel in wheels:
            # The installer reads a wheel's name from its path: a link gives it back the name that the store hides.
            os.symlink(self.store.verify(wheel.sha256), wheel_folder / wheel.filename)
            address = quote(str(wheel_folder / wheel.filename))
            lines.append(f"{wheel.name} @ file://{address} --hash=sha256:{wheel.sha256}\n")
        (draft / "requirements.txt").write_text("".join(lines))
        crashpoint("draft_begun")
        environment = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "HOME": str(draft), "NO_COLOR": "1"}
        offline = ("--offline", "--no-cache", "--quiet")
        make = ("venv", *offline, "--allow-existing", "--python", sys.executable, str(draft))
        fill = (
            *("pip", "install", "--offline", "--no-cache", "--no-index", "--no-deps", "--require-hashes"),
            *("--compile-bytecode", "--link-mode", "copy", "--python", str(draft / "bin" / "python")),
            *("-r", str(draft / "requirements.txt")),
        )
        for arguments in (make, fill):
            outcome = run(
                [find_uv_bin(), *arguments],
                cwd=draft,
                env=environment,
                log=log,
                lifeline=lifeline,
                limit=self.limit,
                silence=self.silence,
                keep_fds=(lock,),
            )
            _require_installed(outcome, self.limit)
        crashpoint("draft_filled")

    def _missing(self, wheels: tuple[Wheel, ...]) -> tuple[Wheel, ...]:
        return tuple(wheel for wheel in wheels if not self.store.has(wheel.sha256))

    def _look_up(self, wheels: list[Wheel] | tuple[Wheel, ...]) -> list[IndexFile]:
        def find(wheel: Wheel) -> IndexFile:
            if wheel.source != INDEX:
                raise ArtifactRejected(f"The artifact store no longer holds {wheel.filename}, which was built here.")
            file = self.index.files(wheel.name).get(wheel.filename)
            if file is None:
                raise ArtifactRejected(f"The package index no longer has {wheel.filename}.")
            return file

        with _told_apart(), ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(find, wheels))

    @contextlib.contextmanager
    def _once(self, digest: str, lifeline: Lifeline) -> Iterator[None]:
        """Two lanes that want the same digest: one installs, the other waits and finds it done."""
        folder = self.store.root / "installed"
        with _told_apart():
            folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{self.folder(digest).name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if lifeline.pause(0.1):
                        raise Cancelled("Cancelled while another lane installed the same release.") from None
            yield
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Tell what is wrong with the artifact from what is wrong around it."""
    try:
        yield
    except StoreFull as error:
        raise TargetUntouched(str(error), code="store-full") from error
    except IndexUnreachable as error:
        raise TargetUntouched(str(error), code="index-unreachable") from error
    except (DigestMismatch, NotFound) as error:
        raise ArtifactRejected(str(error)) from error
    except NotStored as error:
        raise TargetUntouched(str(error), code="not-stored") from error


def _require_same(wheel: Wheel, file: IndexFile) -> None:
    if file.sha256 != wheel.sha256:
        told = f"sha256:{file.sha256[:12]}" if file.sha256 else "no digest"
        raise ArtifactRejected(
            f"{wheel.filename}: the package index says {told}, the release was sealed with sha256:{wheel.sha256[:12]}."
        )
    if file.size is not None and file.size != wheel.size:
        raise ArtifactRejected(f"{wheel.filename}: the package index says {file.size} bytes, sealed were {wheel.size}.")


def _require_installed(outcome: Outcome, limit: float) -> None:
    if outcome.succeeded:
        return
    if outcome.reason == "cancelled":
        raise Cancelled("Cancelled while installing.")
    if outcome.reason == "limit":
        raise TargetUntouched(f"Installing took longer than {limit:.0f} s and was ended.", code="install-limit")
    if outcome.reason != "exited":
        raise OutcomeUnknown("The installer was ended because nobody watched over it any more.")
    if any("No space left on device" in line or "os error 28" in line for line in outcome.tail):
        raise TargetUntouched("The disk of the artifact store is full; nothing was kept.", code="store-full")
    raise ReleaseFailed(f"Installing failed with exit code {outcome.exit_code}: {outcome.last_line}")
