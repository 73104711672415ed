"""A content-addressed store on disk: a file is named by its SHA-256 and never changes."""

import errno
import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from apps.integrations.atomic_file import sync_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK = 1 << 20
UNPACK_LIMIT = 512 << 20


class StoreError(Exception):
    pass


class StoreFull(StoreError):
    pass


class DigestMismatch(StoreError):
    pass


class NotStored(StoreError):
    pass


class UnsafeArchive(StoreError):
    pass


class ArtifactStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise ValueError(f"not a SHA-256 in hex: {sha256!r}")
        return self.root / "sha256" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def put(self, chunks: Iterable[bytes], *, sha256: str, size: int | None = None) -> Path:
        """Store a stream under its digest, whole or not at all.

        Raises DigestMismatch: other content or size than promised. Raises StoreFull: no room left.
        Whatever happens, nothing half-written stays behind.
        """
        path = self.path(sha256)
        with self._room():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    _copy_checked(chunks, file.write, sha256=sha256, size=size)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(name, 0o444)
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
            sync_folder(path.parent)
        return path

    def put_file(self, source: Path) -> tuple[str, int]:
        """Store a file; return its digest and size."""
        sha256 = digest_of(source)
        size = source.stat().st_size
        if not self.has(sha256):
            self.put(_chunks(source), sha256=sha256, size=size)
        return sha256, size

    def verify(self, sha256: str) -> Path:
        """Read a stored file again and return its path. Raises NotStored, DigestMismatch."""
        path = self.path(sha256)
        if not path.is_file():
            raise NotStored(f"The artifact store doesn't hold {sha256[:12]}.")
        if digest_of(path) != sha256:
            raise DigestMismatch(f"The stored file {sha256[:12]} is damaged: its content has another digest.")
        return path

    @contextmanager
    def folder(self, *names: str) -> Iterator[Path]:
        """Make a folder under the store as a whole: what is filled in here gets its name at the end, or vanishes."""
        final = self.root.joinpath(*names)
        with self._room():
            final.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=final.parent, prefix=".incoming-"))
            try:
                yield draft
                os.rename(draft, final)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
            sync_folder(final.parent)

    def tidy(self, *, older_than_seconds: float = 3600) -> int:
        """Take away what processes that were killed left half-written; return how many there were."""
        limit = time.time() - older_than_seconds
        drafts = [*self.root.glob("sha256/*/.incoming-*"), *self.root.glob("installed/.incoming-*")]
        stale = [draft for draft in drafts if draft.stat().st_mtime < limit]
        for draft in stale:
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)
        return len(stale)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull("The disk of the artifact store is full; nothing was kept.") from error
            raise


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, folder: Path, *, limit: int = UNPACK_LIMIT) -> None:
    """Unpack a zip or tar file into an existing folder; plain files and folders only, none outside the folder.

    Raises UnsafeArchive: a member that leaves the folder, a link, a device, or more than `limit` bytes in all.
    """
    if zipfile.is_zipfile(archive):
        _unpack_zip(archive, folder, limit)
    elif tarfile.is_tarfile(archive):
        _unpack_tar(archive, folder, limit)
    else:
        raise UnsafeArchive("Neither a zip nor a tar file.")


def _unpack_zip(archive: Path, folder: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as bundle:
        members = bundle.infolist()
        _require_size(sum(member.file_size for member in members), limit)
        for member in members:
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UnsafeArchive(f"Not a plain file: {member.filename!r}")
            target = _inside(folder, member.filename)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(member) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file, _CHUNK)


def _unpack_tar(archive: Path, folder: Path, limit: int) -> None:
    with tarfile.open(archive) as bundle:
        total = 0
        for member in bundle:
            total += member.size
            _require_size(total, limit)
            target = _inside(folder, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                target.parent.mkdir(parents=True, exist_ok=True)
                with cast(IO[bytes], bundle.extractfile(member)) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
            else:
                raise UnsafeArchive(f"Not a plain file: {member.name!r}")


def _inside(folder: Path, name: str) -> Path:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise UnsafeArchive(f"Leaves its folder: {name!r}")
    return folder.joinpath(*parts)


def _require_size(size: int, limit: int) -> None:
    if size > limit:
        raise UnsafeArchive(f"Unpacks to more than {limit >> 20} MB.")


def _copy_checked(chunks: Iterable[bytes], write: Callable[[bytes], object], *, sha256: str, size: int | None) -> None:
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        length += len(chunk)
        if size is not None and length > size:
            raise DigestMismatch(f"More than the promised {size} bytes came.")
        digest.update(chunk)
        write(chunk)
    if size is not None and length != size:
        raise DigestMismatch(f"{length} bytes came, {size} were promised.")
    if digest.hexdigest() != sha256:
        raise DigestMismatch(f"The content has the digest {digest.hexdigest()[:12]}, promised was {sha256[:12]}.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
