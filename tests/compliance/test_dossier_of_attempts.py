"""Dossiers of attempts that ran: against the target made of files, one that failed and was rolled back."""

import hashlib

from django.urls import reverse

from apps.compliance.dossiers import find
from apps.deployments.executors.contract import StepKind
from tests.deployments.conftest import Stage, judge, stage
from tests.drill import get

__all__ = ["judge", "stage"]


def test_failure_its_rollback_and_its_log_are_told(stage: Stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={StepKind.START_GREEN: "fail"})
    failed = stage.deploy("1.1.0")
    back = stage.rollback_of(failed)
    cast = stage.world.cast

    with stage.everything():
        dossier = find.deployment((cast.platform.pk,), failed.number, whole_log=True)[1]
        short = find.deployment((cast.platform.pk,), failed.number, whole_log=False)[1]
        undoing = find.deployment((cast.platform.pk,), back.number, whole_log=False)[1]
    log = get(cast.auditor, reverse("deployments:log-raw", args=[failed.number]))
    text = b"".join(log.streaming_content)

    what = [row.values["what"] for row in dossier.section("exceptions").rows]
    assert what[:2] == ["Failed", "Rolled back"]
    facts = {fact.key: fact.value for fact in dossier.section("log").facts}
    assert facts["sha256"] == hashlib.sha256(text).hexdigest()
    assert list(dossier.section("log").lines) == text.decode().removesuffix("\n").split("\n")
    assert len(short.section("log").lines) == min(200, facts["lines"])
    identity = {fact.key: fact.value for fact in dossier.section("identity").facts}
    assert (identity["before"], identity["version"]) == ("1.0.0", "1.1.0")
    assert all(row.entries for row in dossier.section("history").rows)
    assert "Failed" in {row.values["verdict"] for row in dossier.section("steps").rows}
    assert dossier.section("rollback").rows[0].values["deployment"] == str(back)
    assert "undoes deployment" in undoing.section("approvals").says
