"""Databases in which the cast, or the whole world, stands already.

Both are made by the product's actions, once for a process; its tests work in them, or in clones where they commit.
Making them anew took a third of a second for each of a thousand tests. What a test holds of them is its own copy.
"""

import itertools
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from tests.cast import Cast, make_cast
from tests.engines import TEMPLATE, Engines, renamed
from tests.world import World, make_world

Standing = tuple[Cast, World | None]

_numbers = itertools.count()


@dataclass
class Prepared:
    engines: Engines
    blocker: DjangoDbBlocker
    usual: str
    """The database of this process, in which nobody stands."""
    kept: dict[str, bytes] = field(default_factory=dict)
    """Who stands in which database."""
    sources: dict[str, str] = field(default_factory=dict)
    """Of what each database is a copy. Nobody connects to these: a test may leave a connection behind, and what
    somebody is connected to can't be cloned."""

    def database_for(self, fixtures: Sequence[str]) -> str:
        """Return the database with what these fixtures ask for, made when it is asked for first."""
        if "cast" not in fixtures:
            return self.usual
        is_whole = "world" in fixtures
        name = f"{self.usual}_{'world' if is_whole else 'cast'}"
        if name not in self.kept:
            self.sources[name] = source = f"{name}_source"
            self.engines.clone(source)
            connect_to(source)
            with self.blocker.unblock():
                self.kept[name] = pickle.dumps(_make(is_whole=is_whole))
                connections.close_all()
            self.engines.clone(name, of=source)
        return name

    def clone(self, name: str, *, like: str) -> None:
        """Make a database like one of this process before anything happened in it."""
        self.engines.clone(name, of=self.sources.get(like, TEMPLATE))
        if like in self.kept:
            self.kept[name] = self.kept[like]


def _make(*, is_whole: bool) -> Standing:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        people = make_cast()
    with workspace_scope([workspace.pk for workspace in people.workspaces]):
        return people, make_world(people) if is_whole else None


def connect_to(name: str) -> None:
    """Let every connection that is opened from now on go to this database."""
    settings = connections.settings["default"]
    if settings["NAME"] != name:
        connections.close_all()
        settings["NAME"] = name  # every thread's connection reads it when it opens


@pytest.fixture(scope="session")
def prepared(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Prepared:
    return Prepared(engines, django_db_blocker, connections.settings["default"]["NAME"])


@pytest.fixture
def database(
    request: pytest.FixtureRequest, engines: Engines, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The name of the database of this test: one of its process, or a fresh clone where the test commits.

    Nothing is ever truncated: the application's role may not, and a dropped clone leaves nothing behind.
    """
    name = prepared.database_for(request.fixturenames)
    if not _commits(request):
        connect_to(name)
        yield name
        return
    clone = f"{prepared.usual}_{next(_numbers)}"
    connect_to(clone)
    prepared.clone(clone, like=name)
    monkeypatch.setenv("DATABASE_URL", renamed(os.environ["DATABASE_URL"], clone))
    monkeypatch.setenv("DATABASE_OWNER_URL", renamed(os.environ["DATABASE_OWNER_URL"], clone))
    yield clone
    connect_to(prepared.usual)
    engines.drop(clone)


@pytest.fixture
def own_copy(db: None, database: str, prepared: Prepared, request: pytest.FixtureRequest) -> Standing:
    """The cast, and the world if it is asked for; made here where a test has a server of its own."""
    if database not in prepared.kept:
        return _make(is_whole="world" in request.fixturenames)
    copy: Standing = pickle.loads(prepared.kept[database])  # noqa: S301  our own words
    return copy


def _commits(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    names: Any = request.fixturenames
    return bool(
        (marker and (marker.kwargs.get("transaction") or (marker.args and marker.args[0])))
        or {"transactional_db", "live_server"} & set(names)
    )
