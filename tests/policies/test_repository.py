"""What the policies' repository says is proposed as it is, by a person, and another one decides."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.core.verdict import Denied
from apps.integrations.git_repository import GitRepository
from apps.policies import actions, repository
from apps.policies.models import PolicyProposal
from tests.cast import NOW, PASSWORD
from tests.drill import get, post, text_of
from tests.policies.proposals import in_force, text
from tests.world import World, last_event

pytestmark = pytest.mark.django_db
LIST = reverse("policies:policy-list")


class Clone:
    """Where somebody writes policies, with the portal's repository to push to."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(bare))

    def git(self, *arguments: str) -> str:
        author = ["-c", "user.name=Architect", "-c", "user.email=architect@example.test", "-c", "commit.gpgsign=false"]
        answer = subprocess.run(
            ["git", *author, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return answer.stdout.strip()

    def push(self, source: str, *, name: str = "qa.yaml", branch: str = "main") -> str:
        """Commit a file, and return the hash of the commit."""
        (self.folder / name).write_text(source)
        self.git("add", name)
        self.git("commit", "--quiet", "--message=More of the code is tested")
        self.git("push", "--quiet", "--force", "origin", f"HEAD:{branch}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def clone(settings: Any, tmp_path: Path) -> Clone:
    settings.REPOSITORY_DIR = tmp_path
    (tmp_path / "clone").mkdir()
    GitRepository.create(tmp_path / "policies.git")
    return Clone(tmp_path / "clone", tmp_path / "policies.git")


def address(commit: str, tier: str = "qa") -> str:
    return reverse("policies:commit-propose", args=[tier, commit])


def propose(commit: str, by: User) -> PolicyProposal:
    return actions.propose_commit(commit, tier="QA", reason="As reviewed", by=by, now=NOW)


def test_from_the_push_to_the_version_in_force(world: World, clone: Clone) -> None:
    assert "In Git" not in text_of(get(world.cast.devops, LIST))
    commit = clone.push(text(least=90))

    page = text_of(get(world.cast.devops, LIST))
    assert "QA: More of the code is tested" in page
    assert commit[:12] in page
    assert "In Git" not in text_of(get(world.cast.auditor, LIST))
    shown = text_of(get(world.cast.devops, address(commit)))
    assert "least_percent: 90" in shown
    answer = post(world.cast.devops, address(commit), {"reason": "As reviewed"})

    proposal = PolicyProposal.objects.get()
    assert (proposal.commit, proposal.proposed_by, proposal.source) == (commit, world.cast.devops, text(least=90))
    assert last_event("policy.proposed").change["commit"]["after"] == commit
    assert commit[:12] in text_of(get(world.cast.security, answer["Location"]))
    given = {"choice": "ACTIVATE", "comment": "", "password": PASSWORD}
    assert post(world.cast.security, f"{answer['Location']}decision/", given).status_code == 302
    assert "In Git" not in text_of(get(world.cast.devops, LIST))
    assert "It says what is in force." in text_of(get(world.cast.devops, address(commit)))


def test_its_proposer_does_not_put_it_in_force_whoever_wrote_the_commit(world: World, clone: Clone) -> None:
    proposal = propose(clone.push(text()), by=world.cast.devops)

    with pytest.raises(Denied, match="another person"):
        actions.activate(proposal, by=world.cast.devops, now=NOW)
    with pytest.raises(Denied):
        propose(clone.push(text(least=90)), by=world.cast.release_engineer)
    with pytest.raises(Error), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(commit="f" * 40)


def test_text_that_is_no_policy_is_shown_with_its_mistake_and_not_proposed(world: World, clone: Clone) -> None:
    before, commit = in_force(), clone.push("tier: QA\nclauses: many\n")

    assert "Line 2, column" in text_of(get(world.cast.devops, LIST))
    assert "It is no policy of QA." in text_of(get(world.cast.devops, address(commit)))
    assert post(world.cast.devops, address(commit), {"reason": "As reviewed"}).status_code == 422
    assert (in_force(), PolicyProposal.objects.count()) == (before, 0)


def test_only_the_branch_that_is_read_counts(world: World, clone: Clone) -> None:
    pushed = clone.push(text())
    elsewhere = clone.push(text(least=1), branch="elsewhere")

    for commit, tier in (
        (elsewhere, "QA"),
        ("f" * 40, "QA"),
        ("--help", "QA"),
        (pushed, "DEV"),
    ):
        with pytest.raises(repository.CommitUnknown):
            repository.at(tier, commit)
    assert post(world.cast.devops, address(elsewhere), {"reason": "As reviewed"}).status_code == 422
    assert not PolicyProposal.objects.exists()
