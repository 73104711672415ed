"""Data migrations of a release: declared in its manifest, closed by its seal, the same in every release."""

import hashlib
import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core.canonical import sha256_of
from apps.core.verdict import Refusal
from apps.integrations.git_repository import GitError, GitRepository
from apps.releases import actions, data_migrations, manifests, repositories
from apps.releases.models import DataMigration, Release
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.releases.data_migrations import SHA, migration, with_migrations
from tests.world import World, last_event


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"class": "UNDOABLE"}, "has the class 'UNDOABLE'. There are: REVERSIBLE, FORWARD_COMPATIBLE, FORWARD_ONLY."),
        ({"sha256": "abc"}, "0042 has no checksum: its sha256 is 64 hexadecimal digits."),
        ({"rollback": " "}, "0042 has no rollback procedure: say how it is rolled back"),
        (
            {"class": "FORWARD_ONLY", "reason": "r", "rollback": ""},
            "no rollback procedure: say how the data is restored",
        ),
        ({"class": "FORWARD_ONLY"}, "0042 is forward-only without a reason"),
        ({"critical": True}, "is of critical data, which is never migrated back"),
        ({"id": "../x"}, "'../x' is not the id of a migration"),
        ({"path": "../etc/passwd"}, "has the path '../etc/passwd', which is none inside of the repository"),
        ({"path": "/etc/passwd"}, "has the path '/etc/passwd'"),
        ({"critical": "yes"}, "The field critical of a migration is of the wrong type."),
        ({"colour": "red"}, "Each migration has the fields id, class, sha256"),
    ],
)
def test_what_can_not_be_a_migration_is_told(row: dict[str, object], sentence: str) -> None:
    with pytest.raises(manifests.ManifestInvalid) as refusal:
        manifests.check(with_migrations("1.0.0", migration(**row)), program="greeter")

    assert sentence in str(refusal.value)


def test_a_manifest_lists_each_migration_once_and_not_too_many() -> None:
    with pytest.raises(manifests.ManifestInvalid, match="lists the migration 0042 twice"):
        manifests.check(with_migrations("1.0.0", migration(), migration()), program="greeter")
    with pytest.raises(manifests.ManifestInvalid, match="a list of at most 200"):
        manifests.check(with_migrations("1.0.0") | {"migrations": "0042"}, program="greeter")

    assert manifests.digest_of(with_migrations("1.0.0", migration())) == manifests.digest_of(with_migrations("1.0.0"))


def create(world: World, version: str, *rows: dict[str, object], **fields: object) -> Release:
    return actions.create_release(
        world.service, version=version, manifest=with_migrations(version, *rows), source="FORM",
        by=world.cast.release_engineer, now=NOW, **fields,
    )  # fmt: skip


def seal(world: World, release: Release) -> Release:
    return actions.seal_release(release, by=world.cast.release_engineer, now=NOW)


@pytest.mark.django_db
def test_the_seal_closes_the_migrations_and_the_database_keeps_them(world: World) -> None:
    draft = create(world, "1.1.0", migration(), migration(id="0043"))
    assert last_event("release.created").change["migrations"]["after"] == ["0042", "0043"]
    release = seal(world, draft)

    row = release.migrations.get(name="0042")
    bare = {"service": "greeter", "version": "1.1.0", "commit": "", "artifact": release.artifact_digest, "notes": ""}
    assert release.content_hash == actions.content_hash_of(release) != sha256_of(bare)
    for change in (
        lambda: DataMigration.objects.filter(pk=row.pk).update(sha256="b" * 64),
        lambda: DataMigration.objects.filter(pk=row.pk).delete(),
        lambda: DataMigration.objects.create(
            workspace_id=release.workspace_id, release=release, position=9, name="0044", sha256=SHA,
            migration_class="REVERSIBLE", rollback="Undo",
        ),
    ):  # fmt: skip
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    page = text_of(get(world.cast.auditor, f"/releases/greeter/{release.version}/"))
    assert "Data migrations" in page
    assert "Run downgrade 0041." in page


@pytest.mark.django_db
def test_a_migration_never_changes_once_it_was_released(world: World) -> None:
    seal(world, create(world, "1.1.0", migration()))
    count = Release.objects.count()

    for changed in (migration(sha256="b" * 64), migration(**{"class": "FORWARD_COMPATIBLE"})):
        with pytest.raises(
            actions.MigrationChanged, match=r"1\.1\.0 was released with the migration 0042 as sha256 aaa"
        ):
            create(world, "1.2.0", changed)

    assert Release.objects.count() == count
    with_changed = with_migrations("1.2.0", migration(sha256="b" * 64))
    answer = post(
        world.cast.release_engineer,
        "/releases/new/",
        {"service": "greeter", "version": "1.2.0", "manifest": json.dumps(with_changed)},
    )
    assert answer.status_code == 409
    assert "write what is new as another migration" in text_of(answer)
    assert create(world, "1.2.0", migration(rollback="In better words."))


@pytest.mark.django_db
def test_between_two_releases_run_those_of_all_in_between_and_none_twice(world: World) -> None:
    def names(before: Release | None, after: Release) -> list[str]:
        return [row.name for row in data_migrations.between(before, after)]

    first, draft = world.release, create(world, "1.0.1-rc.1", migration(id="draft"))
    second = seal(world, create(world, "1.1.0", migration()))
    seal(world, create(world, "1.2.0-rc.1", migration(id="0043")))
    later = seal(world, create(world, "1.2.0-rc.2", migration(id="0044")))
    third = seal(world, create(world, "1.3.0", migration(), migration(id="0045", rollback="Newest words.")))
    fourth = seal(world, create(world, "2.0.0"))

    assert names(first, second) == ["0042"]
    assert names(first, later) == ["0042", "0043", "0044"]
    assert names(first, third) == ["0042", "0045"]
    assert names(second, fourth) == ["0045"]
    assert names(None, third) == ["0042", "0045"]
    assert names(fourth, first) == names(third, third) == names(None, draft) == []


@pytest.mark.django_db
def test_the_checksum_is_that_of_the_file_at_the_commit(world: World, repository: GitRepository) -> None:
    commit = repository.resolve("v1.1.0")
    path = repository.run("ls-tree", "-r", "--name-only", commit).splitlines()[0]
    content = repository.file(commit, path, limit=100_000)

    release = create(world, "1.1.0", migration(path=path, sha256=hashlib.sha256(content).hexdigest()), commit=commit)

    assert release.migrations.get().path == path
    for row, sentence in (
        (migration(id="0043", path=path), f"The file {path} has the checksum"),
        (migration(id="0043", path="no/such.sql"), "has no file no/such.sql"),
    ):
        with pytest.raises(repositories.MigrationFileDiffers, match=sentence):
            create(world, "1.2.0", row, commit=commit)
    with pytest.raises(GitError, match="which is over"):
        repository.file(commit, path, limit=0)


def test_the_source_of_what_is_built_on_push_declares_them(repository: GitRepository, tmp_path: Path) -> None:
    work = tmp_path / "work"

    def commit_of(declared: str) -> str:
        (work / ".eaip/migrations.json").write_text(declared)
        git("add", ".")
        git("-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "Declare")
        git("push", "--quiet", "origin", "HEAD:refs/heads/declared")
        return repository.resolve("refs/heads/declared")

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", work, *arguments], check=True)

    subprocess.run(["git", "clone", "--quiet", repository.path, work], check=True)
    (work / ".eaip").mkdir()
    (work / "0042.sql").write_bytes(b"UPDATE names;\r\n\xff")
    row = {"id": "0042", "class": "FORWARD_COMPATIBLE", "path": "0042.sql", "rollback": "Nothing is to be done."}

    sha256 = hashlib.sha256(b"UPDATE names;\r\n\xff").hexdigest()
    declared = repositories.declared_migrations(repository, commit_of(json.dumps([row])))
    assert declared == [{**row, "sha256": sha256}]
    assert repositories.declared_migrations(repository, repository.resolve("v1.1.0")) == []
    for text, refusal in (
        ("{", repositories.DeclarationInvalid),
        ('{"id": 1}', repositories.DeclarationInvalid),
        (json.dumps([row | {"path": "gone.sql"}]), repositories.MigrationFileDiffers),
    ):
        with pytest.raises(refusal):
            repositories.declared_migrations(repository, commit_of(text))


@pytest.mark.django_db(transaction=True)
def test_of_two_seals_at_once_that_disagree_on_a_migration_one_holds(world: World) -> None:
    with world.everything():
        drafts = [create(world, "1.1.0", migration()), create(world, "1.2.0", migration(sha256="b" * 64))]
    barrier = threading.Barrier(2)

    def seal_it(draft: Release) -> object:
        try:
            with world.everything():
                connection.ensure_connection()
                barrier.wait(timeout=30)
                return seal(world, draft)
        except Refusal as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(seal_it, drafts))

    assert sorted(type(result).__name__ for result in results) == ["MigrationChanged", "Release"]
    with world.everything():
        assert Release.objects.filter(state="SEALED", version__in=["1.1.0", "1.2.0"]).count() == 1
