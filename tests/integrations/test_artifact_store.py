import errno
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.integrations.artifact_store import (
    ArtifactStore,
    DigestMismatch,
    NotStored,
    StoreFull,
    UnsafeArchive,
    unpack,
)
from deploy.launcher.paths import ROOT

CONTENT = b"content" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FULL_DISK = 256 * 1024

FILL = """
import hashlib, resource, sys
from pathlib import Path
from apps.integrations.artifact_store import ArtifactStore, StoreFull
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
content = b"x" * (1 << 20)
store = ArtifactStore(Path(sys.argv[1]))
try:
    store.put([content[:65536]] * 16, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
except StoreFull as error:
    print(error)
"""


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder with too little room, and the limit that a process sets itself where no small disk can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.getuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK}", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )
    yield folder, 0 if mounted else FULL_DISK
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_what_is_put_is_found_under_its_digest(store: ArtifactStore) -> None:
    path = store.put([CONTENT[:100], CONTENT[100:]], sha256=SHA256, size=len(CONTENT))

    assert path.read_bytes() == CONTENT
    assert store.has(SHA256)
    assert store.verify(SHA256) == path


@pytest.mark.parametrize(
    ("sha256", "size"), [("0" * 64, len(CONTENT)), (SHA256, len(CONTENT) - 1), (SHA256, len(CONTENT) + 1)]
)
def test_other_content_than_promised_is_refused_and_leaves_nothing(
    store: ArtifactStore, sha256: str, size: int
) -> None:
    with pytest.raises(DigestMismatch):
        store.put([CONTENT], sha256=sha256, size=size)

    assert files_below(store.root) == []


def test_a_stream_that_breaks_leaves_nothing(store: ArtifactStore) -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put(broken(), sha256=SHA256, size=len(CONTENT))

    assert files_below(store.root) == []


def test_a_full_disk_is_said_and_leaves_nothing(full_disk: tuple[Path, int]) -> None:
    folder, limit = full_disk
    before = files_below(folder)

    answer = subprocess.run(
        [sys.executable, "-c", FILL, str(folder), str(limit)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "The disk of the artifact store is full; nothing was kept.\n"
    assert files_below(folder) == before == []


def test_a_folder_that_can_not_be_filled_leaves_nothing(store: ArtifactStore) -> None:
    def fill() -> None:
        with store.folder("installed", "one") as draft:
            (draft / "half").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreFull):
        fill()

    assert files_below(store.root) == []


def test_what_a_killed_process_left_is_tidied_away(store: ArtifactStore) -> None:
    kept = store.put([CONTENT], sha256=SHA256)
    (kept.parent / ".incoming-file").write_text("half")
    (store.root / "installed" / ".incoming-folder").mkdir(parents=True)

    assert store.tidy() == 0, "what is young may still be written"
    assert store.tidy(older_than_seconds=-1) == 2
    assert files_below(store.root) == [kept]


def test_tidying_keeps_every_release_however_old(store: ArtifactStore) -> None:
    """The last five releases, and all before them, can be brought back (REL-10): nothing of ours takes them away."""
    contents = [f"release {number}".encode() for number in range(7)]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    for content, digest in zip(contents, digests, strict=True):
        store.put([content], sha256=digest)
        with store.folder("installed", digest) as draft:
            (draft / "program").write_bytes(content)
    for path in files_below(store.root):
        os.utime(path, (0, 0))

    assert store.tidy(older_than_seconds=0) == 0

    assert [store.verify(digest).read_bytes() for digest in digests] == contents
    assert [(store.root / "installed" / digest / "program").read_bytes() for digest in digests] == contents


def test_a_damaged_file_is_noticed(store: ArtifactStore) -> None:
    path = store.put([CONTENT], sha256=SHA256)
    path.chmod(0o600)
    path.write_bytes(b"other")

    with pytest.raises(DigestMismatch, match="damaged"):
        store.verify(SHA256)


def test_a_missing_file_is_named(store: ArtifactStore) -> None:
    with pytest.raises(NotStored):
        store.verify(SHA256)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, SHA256 + "/.."])
def test_a_digest_is_never_a_path(store: ArtifactStore, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.path(name)


def zip_of(path: Path, name: str, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        bundle.writestr(member, "x")
    return path


def tar_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w") as bundle:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
        bundle.addfile(member, io.BytesIO(b"x"))
    return path


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "C:/out", "\\out"])
def test_no_member_of_an_archive_leaves_its_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    for archive in (zip_of(tmp_path / "a.zip", name), tar_of(tmp_path / "a.tar", name)):
        with pytest.raises(UnsafeArchive, match="Leaves its folder"):
            unpack(archive, inside)

    assert files_below(inside) == []


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    archives = [
        zip_of(tmp_path / "a.zip", "link", mode=0o120777),
        tar_of(tmp_path / "b.tar", "link", tarfile.SYMTYPE, "/etc/passwd"),
        tar_of(tmp_path / "c.tar", "link", tarfile.LNKTYPE, "../out"),
        tar_of(tmp_path / "d.tar", "device", tarfile.CHRTYPE),
    ]

    for archive in archives:
        with pytest.raises(UnsafeArchive, match="Not a plain file"):
            unpack(archive, tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("zeros", b"\0" * 3_000_000)

    with pytest.raises(UnsafeArchive, match="more than 1 MB"):
        unpack(tmp_path / "bomb.zip", tmp_path, limit=1 << 20)


def test_plain_archives_are_unpacked(tmp_path: Path) -> None:
    for number, archive in enumerate((zip_of(tmp_path / "a.zip", "a/b.txt"), tar_of(tmp_path / "a.tar", "a/b.txt"))):
        folder = tmp_path / str(number)
        folder.mkdir()

        unpack(archive, folder)

        assert (folder / "a" / "b.txt").read_text() == "x"


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")

    with pytest.raises(UnsafeArchive, match="Neither"):
        unpack(tmp_path / "text", tmp_path)
