"""Descriptions are compared once, beside everything else, and shown change by change."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.releases import actions, comparisons, runner
from apps.releases.comparisons import Due
from apps.releases.contracts.apart import TEXT, Found, compare_apart
from apps.releases.contracts.changes import Change, Effect
from apps.releases.models import ApiChange, ApiComparison, Release
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import move
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import HTMX, get, text_of
from tests.releases.test_api_changes import BREAKING, SHOP, changed
from tests.world import World, last_event

WORSE = changed(*BREAKING["operation-removed"])


@pytest.fixture(autouse=True)
def _store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


def describe(world: World, release: Release, document: Any, *, now: Any = NOW) -> None:
    values = {"kind": "OPENAPI", "by": world.cast.release_engineer, "now": now}
    actions.keep_evidence(release, report=json.dumps(document).encode(), **values)


@pytest.fixture
def newer(world: World) -> Release:
    """A release beside the one that runs in Production, both described."""
    with world.everything():
        move(world.lane(world.production), world.release)
        release = world.next_release("1.1.0")
        describe(world, world.release, SHOP)
        describe(world, release, WORSE)
    return release


def found(*changes: Change) -> Found:
    return Found(changes, {effect: sum(change.effect == effect for change in changes) for effect in Effect})


def pair_of(world: World, release: Release) -> Due:
    return Due(world.release.workspace_id, world.release.pk, release.pk, "a" * 64, "b" * 64)


@pytest.mark.django_db
def test_what_runs_in_production_is_compared_with_what_may_follow_once(world: World, newer: Release) -> None:
    assert (runner.see_to_comparisons(newer.pk), runner.see_to_comparisons()) == (1, 0)

    with world.everything():
        comparison = ApiComparison.objects.get()
        (change,) = comparison.changes.all()
        event = last_event("api.compared")
        with pytest.raises(Error, match="can not be changed"), transaction.atomic():
            ApiComparison.objects.update(breaking=0)
    assert (change.operation, change.rule, change.effect) == ("DELETE /orders/{id}", "operation-removed", "BREAKING")
    assert (comparison.breaking, comparison.removed) == (1, [["DELETE /orders/{id}", ""]])
    assert event.summary == "The API of Greeter 1.1.0 beside 1.0.0: 1 breaking, 0 compatible, 0 undecided."


@pytest.mark.django_db
def test_each_two_originals_are_compared_once_whichever_releases_they_are_of(world: World, newer: Release) -> None:
    def due() -> set[tuple[Any, Any]]:
        return {(pair.old_release, pair.new_release) for pair in comparisons.due()}

    runner.see_to_comparisons()
    with world.everything():
        last = world.next_release("1.1.1")
        describe(world, last, WORSE)
        assert due() == set()
        describe(world, newer, {**SHOP, "info": {}}, now=NOW + timedelta(hours=1))
        assert due() == {(world.release.pk, newer.pk)}
        move(world.lane(world.customer_production), newer)
        assert due() == {(world.release.pk, newer.pk), (newer.pk, last.pk)}
        describe(world, newer, SHOP, now=NOW + timedelta(hours=2))
        assert due() == set(), "those two are known"
        assert comparisons.beside(newer.pk).is_compared, "what runs is described alike"


@pytest.mark.django_db
def test_an_original_that_is_not_to_be_had_is_tried_again_later(world: World, newer: Release, settings: Any) -> None:
    settings.ARTIFACT_DIR = settings.ARTIFACT_DIR / "elsewhere"

    assert (runner.see_to_comparisons(), runner.see_to_comparisons()) == (1, 0)

    with world.everything():
        assert ApiComparison.objects.get().finished_at is None
        ApiComparison.objects.update(claimed_until=NOW - timedelta(days=3650))
    assert len(comparisons.due()) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_one_compares_and_one_keeps_what_it_found(world: World) -> None:
    with world.everything():
        release = world.next_release("1.1.0")
    pair = pair_of(world, release)
    change = Change("GET /", "", "operation-removed", Effect.BREAKING, "Gone.")

    claims = at_once(world, lambda: comparisons.claim(pair), lambda: comparisons.claim(pair))

    (claimed,) = filter(None, claims)
    finish = [lambda: comparisons.finish(claimed, found(change), pair, now=NOW)] * 2
    assert sorted(at_once(world, *finish)) == [False, True]
    with world.everything():
        assert ApiChange.objects.count() == 1
        assert comparisons.claim(pair) is None


def test_what_takes_too_long_or_ends_badly_is_undecided_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("no description")

    slow = compare_apart(tmp_path / "old", tmp_path / "old", seconds=0.01)
    bad = compare_apart(tmp_path / "old", tmp_path / "old")

    for given_up, rule in ((slow, "too-slow"), (bad, "not-compared")):
        assert [change.rule for change in given_up.changes] == [rule]
        assert (given_up.is_whole, given_up.count(Effect.UNDECIDED)) == (False, 1)


def test_what_no_database_can_keep_is_replaced_and_long_texts_are_cut(tmp_path: Path) -> None:
    odd = "/a\0b\ud800" + "x" * 10_000
    for name, paths in (("old", {odd: {"get": {}}}), ("new", {"/": {"get": {}}})):
        (tmp_path / name).write_text(json.dumps({"openapi": "3.1.0", "paths": paths}))

    done = compare_apart(tmp_path / "old", tmp_path / "new")

    ((operation, _),) = done.removed
    assert operation.startswith("GET /a\ufffdb?xxx")
    assert len(operation) == TEXT
    assert done.operations(Effect.BREAKING) == [operation]


def page(world: World, query: str = "", **headers: str) -> Any:
    return get(world.cast.auditor, reverse("releases:api-comparison", args=["greeter", "1.1.0"]) + query, **headers)


@pytest.mark.django_db
def test_the_page_shows_each_change_the_worst_first_and_is_searched_by_class(world: World, newer: Release) -> None:
    assert "It is being compared" in text_of(page(world))
    runner.see_to_comparisons()

    shown = text_of(page(world))
    counts = "1 breaking, 0 that need a person, 0 compatible"
    for told in (counts, "Breaking</span>", "DELETE /orders/{id}", "operation-removed"):
        assert told in shown
    assert "No change matches" in text_of(page(world, "?effect=COMPATIBLE"))
    assert "operation-removed" in text_of(page(world, "?q=delete&against=1.0.0&effect=BREAKING"))
    assert "No change matches" in text_of(page(world, "?q=nobody"))
    assert "operation-removed" in text_of(page(world, "?against=9.9.9")), "an unknown version is taken as none"
    assert page(world, "?effect=WORST").status_code == 422
    assert "What changes for callers" in text_of(get(world.cast.auditor, f"/releases/greeter/{newer.version}/"))


@pytest.mark.django_db
def test_many_changes_come_by_pages_and_cost_as_many_queries_as_few(world: World, newer: Release) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert page(world).status_code == 200
        return len(asked)

    runner.see_to_comparisons()
    few = cost()
    with world.everything():
        describe(world, newer, {**SHOP, "info": {}}, now=NOW + timedelta(hours=1))
        (wanted,) = comparisons.due()
        effects = [*[Effect.BREAKING] * 60, *[Effect.COMPATIBLE] * 60]
        many = [Change(f"GET /{n}", "", "a-rule", effect, "It.") for n, effect in enumerate(effects)]
        with workspace_scope([wanted.workspace_id]):
            comparisons.finish(comparisons.claim(wanted), found(*many), wanted, now=NOW + timedelta(hours=2))

    assert cost() == few
    first = page(world)
    second = page(world, f"?before={first.context['page'].older}", **HTMX)
    assert [change.operation for change in first.context["page"].rows] == [f"GET /{n}" for n in range(50)]
    assert [change.operation for change in second.context["page"].rows][:11] == [f"GET /{n}" for n in range(50, 61)]
    assert "<main" not in second.content.decode()


@pytest.mark.django_db
def test_a_page_without_a_comparison_says_what_is_missing(world: World) -> None:
    with world.everything():
        release = world.next_release("1.1.0")
    assert "runs in no Production yet" in text_of(page(world))
    with world.everything():
        move(world.lane(world.production), world.release)
    assert "There is no API description" in text_of(page(world))
    with world.everything():
        describe(world, release, SHOP)
    assert "There is no API description to compare with" in text_of(page(world))
    with world.everything():
        describe(world, world.release, SHOP)
    assert "What runs in Production has the same description." in text_of(page(world))
    with world.everything():
        move(world.lane(world.production), release)
    assert "What runs in Production is this release or a higher one." in text_of(page(world))
