"""A target made of files, with a ledger of effects that is the judge of the engine's tests.

It is a whole executor: fences, idempotency keys, two slots, health. Each effect is one appended line and nothing else,
so that a kill can't cut one in two, and what stands on the target is what the lines add up to.
`behaviour.json` says per version what goes wrong; a file `wait-<STEP>` keeps that step waiting until it is removed, a
file `deaf-<STEP>` also when it is asked to end.
"""

import fcntl
import json
import os
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings

from apps.core.histogram import Histogram
from apps.deployments.executors.contract import (
    Abilities,
    ArtifactRejected,
    Cancelled,
    ConfigurationRef,
    Correction,
    LaneRow,
    Log,
    NotIdle,
    Observation,
    Order,
    OutcomeUnknown,
    Readiness,
    ReleaseFailed,
    ReleaseRef,
    Sample,
    Slot,
    SlotTraffic,
    StaleFence,
    Standing,
    StepKind,
    StepPlan,
    StepResult,
    Stores,
    TargetRef,
    TargetUntouched,
)

STATES = {
    StepKind.VERIFY_ARTIFACT: "STARTING",
    StepKind.INSTALL: "STARTING",
    StepKind.START_GREEN: "APPLYING",
    StepKind.CHECK_GREEN: "APPLYING",
    StepKind.SWITCH: "APPLYING",
    StepKind.VERIFY: "VERIFYING",
    StepKind.DRAIN_BLUE: "VERIFYING",
    StepKind.KEEP_BLUE: "VERIFYING",
}

EDGES = (40.0, 80.0, 400.0)


@dataclass
class Standings:
    """What the ledger's lines add up to."""

    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    live: str | None = None

    def add(self, line: Mapping[str, Any]) -> None:
        if line["effect"] in ("start", "keep"):
            self.slots[line["slot"]] = dict(line)
        elif line["effect"] == "switch":
            self.live = line["slot"]
        elif line["effect"] == "stop":
            self.slots.pop(line["slot"], None)
            self.live = None if self.live == line["slot"] else self.live


@dataclass
class Reader:
    """Adds up what was appended to a ledger since it looked last, so that a long history costs nothing."""

    found: Standings = field(default_factory=Standings)
    file: tuple[int, int] = 0, 0
    read: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def standings(self, ledger: Path) -> Standings:
        with self.lock:
            try:
                with ledger.open("rb") as lines:
                    self._go_on(lines)
            except FileNotFoundError:
                return Standings()
            return Standings(dict(self.found.slots), self.found.live)

    def _go_on(self, lines: BinaryIO) -> None:
        about = os.fstat(lines.fileno())
        if (about.st_dev, about.st_ino) != self.file or about.st_size < self.read:
            self.file, self.read, self.found = (about.st_dev, about.st_ino), 0, Standings()
        lines.seek(self.read)
        whole = lines.read().rpartition(b"\n")
        self.read += len(whole[0]) + len(whole[1])
        for line in whole[0].splitlines():
            self.found.add(json.loads(line))


_readers: dict[Path, Reader] = defaultdict(Reader)


class Place:
    """One lane on the target."""

    def __init__(self, key: str) -> None:
        self.folder = settings.TARGET_DIR / key
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.folder / "ledger.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self.ledger.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def standings(self) -> Standings:
        return _readers[self.ledger].standings(self.ledger)

    @property
    def fence(self) -> int:
        """The highest fence that was accepted, by an effect or by a look."""
        try:
            return int((self.folder / "fence").read_text())
        except FileNotFoundError:
            return 0

    @contextmanager
    def door(self, fence: int) -> Iterator[Standings]:
        """Accept a fence while a short effect happens."""
        with (self.folder / "door.lock").open("a") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            if fence < self.fence:
                raise StaleFence(f"fence {self.fence} was accepted, {fence} is too late")
            if fence > self.fence:
                put(self.folder / "fence", str(fence))
            yield self.standings()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with (self.folder / "work.lock").open("a") as work:
            try:
                fcntl.flock(work, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutcomeUnknown("another step is at work") from None
            yield

    def write(self, effect: str, slot: str, order: Order) -> None:
        line = {
            "effect": effect, "slot": slot, "fence": order.fence, "deployment": str(order.deployment_id),
            "version": order.release.version, "digest": order.release.digest,
            "configuration": order.configuration.number, "pid": os.getpid(),
        }  # fmt: skip
        self.append(line)

    def append(self, line: Mapping[str, Any]) -> None:
        descriptor = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (json.dumps({**line, "at": time.time()}) + "\n").encode())
        finally:
            os.close(descriptor)


class FileTarget:
    can = Abilities(
        probe=True, cancel=True, roll_back=True, keep_warm=True, repeat=True, observe=True, stores=Stores.ALL
    )

    def __init__(self) -> None:
        self._cancelled: dict[UUID, threading.Event] = {}

    def plan(self, order: Order) -> tuple[StepPlan, ...]:
        kinds = dict(STATES)
        if order.rolls_back:
            del kinds[StepKind.KEEP_BLUE]
            kinds[StepKind.RETIRE_BLUE] = "VERIFYING"
        return tuple(StepPlan(kind, kind.value.capitalize(), state, 0.1) for kind, state in kinds.items())

    def probe(self, order: Order) -> Observation:
        if said := self._behaviour(order.release.version).get("probe"):
            return Observation(Standing(said), f"the target is {said}")
        place = Place(order.target.lane_key)
        with place.door(order.fence):
            pass
        try:
            with place.at_work():
                found = place.standings()
        except OutcomeUnknown:
            return Observation(Standing.IN_FLIGHT, "a step is at work")
        if found.live is None:
            return Observation(Standing.NOT_APPLIED, "nothing serves")
        live = found.slots[found.live]
        ours = live["deployment"] == str(order.deployment_id)
        return Observation(
            Standing.APPLIED if ours else Standing.NOT_APPLIED,
            f"{found.live} serves {live['version']}",
            live_slot=Slot(found.live),
            healthy=self.sample(order.target).ok,
            version=live["version"],
            deployment_id=UUID(live["deployment"]),
        )

    def apply(self, kind: StepKind, order: Order, *, log: Log) -> StepResult:
        place, cancelled = Place(order.target.lane_key), threading.Event()
        self._cancelled[order.deployment_id] = cancelled
        try:
            with place.at_work():
                with place.door(order.fence):
                    pass
                log(f"\x1b[36m{kind}\x1b[0m of {order.release.version}")
                self._misbehave(kind, order)
                self._wait(kind, cancelled)
                return self._do(kind, order, place)
        finally:
            self._cancelled.pop(order.deployment_id, None)

    def renew(self, deployment_id: UUID, at: float) -> None:
        """Nothing here has children."""

    def cancel(self, deployment_id: UUID) -> None:
        if event := self._cancelled.get(deployment_id):
            event.set()

    def discard(self, order: Order, *, log: Log) -> None:
        place = Place(order.target.lane_key)
        with place.door(order.fence) as found:
            for slot, line in found.slots.items():
                if line["deployment"] == str(order.deployment_id):
                    if slot == found.live:
                        raise NotIdle(f"{slot} serves")
                    place.write("stop", slot, order)
        log("discarded")

    def retire(self, target: TargetRef, slot: Slot, *, fence: int) -> bool:
        place = Place(target.lane_key)
        with place.door(fence) as found:
            if slot.value == found.live:
                raise NotIdle(f"{slot} serves")
            if slot.value not in found.slots:
                return False
            place.append({"effect": "stop", "slot": slot.value, "fence": fence, "deployment": "", "version": ""})
            return True

    def remove(self, target: TargetRef, *, fence: int) -> None:
        for _correction in self._reconcile(LaneRow(target, fence, live=None)):
            pass

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness:
        if self._behaviour(release.version).get("artifact") == "gone":
            return Readiness(False, False, f"The artifact store doesn't hold all of {release.version}.")
        found = Place(target.lane_key).standings()
        warm = any(line["digest"] == release.digest for slot, line in found.slots.items() if slot != found.live)
        return Readiness(True, warm, f"{release.version} is ready.")

    def sample(self, target: TargetRef) -> Sample:
        found = Place(target.lane_key).standings()
        if found.live is None:
            return Sample(False, None, 1.0, "nothing answers")
        version = found.slots[found.live]["version"]
        bad = self._behaviour(version).get("health") == "bad"
        return Sample(not bad, 500 if bad else 200, 1.0, "500 broken" if bad else "200 OK", version)

    def traffic(self, target: TargetRef) -> tuple[SlotTraffic, ...]:
        """Each look finds as many more requests as the behaviour says, all as slow and as faulty as it says."""
        place = Place(target.lane_key)
        found = place.standings()
        if found.live is None:
            return ()
        rule = self._behaviour(found.slots[found.live]["version"])
        more, path = int(rule.get("requests", 0)), place.folder / f"traffic-{found.live}.json"
        seen = json.loads(path.read_text()) if path.exists() else {"requests": 0, "errors": 0, "counts": [0, 0, 0, 0]}
        seen["requests"] += more
        seen["errors"] += int(rule.get("errors", 0))
        seen["counts"][bisect_left(EDGES, float(rule.get("p95", 10)))] += more
        put(path, json.dumps(seen))
        times = Histogram(EDGES, tuple(seen["counts"]))
        return (SlotTraffic(Slot(found.live), 256, True, 0, seen["requests"], seen["errors"], times),)

    def tail(self, target: TargetRef, slot: Slot, *, size: int = 4000) -> str:
        return ""

    def reconcile(self, rows: tuple[LaneRow, ...]) -> tuple[Correction, ...]:
        return tuple(fix for row in rows for fix in self._reconcile(row))

    # ---- what it does

    def _do(self, kind: StepKind, order: Order, place: Place) -> StepResult:
        with place.door(order.fence) as found:
            slot = self._slot_of(order, found)
            if kind in (StepKind.VERIFY_ARTIFACT, StepKind.INSTALL):
                return StepResult("done", changed=False)
            if kind is StepKind.START_GREEN:
                kept = self._kept(order, found)
                wanted = slot or kept or ("blue" if found.live == "green" else "green")
                if slot is None:
                    place.write("keep" if kept else "start", wanted, order)
                return StepResult(f"runs in {wanted}", changed=slot is None, slot=Slot(wanted))
            if slot is None:
                raise OutcomeUnknown("no slot is ours")
            other = Slot(slot).other.value
            switches = kind is StepKind.SWITCH and found.live != slot
            retires = kind is StepKind.RETIRE_BLUE and other in found.slots
            if switches:
                place.write("switch", slot, order)
            if retires:
                place.write("stop", other, order)
            return StepResult(f"{kind} done", changed=switches or retires, slot=Slot(slot))

    def _slot_of(self, order: Order, found: Standings) -> str | None:
        return next((s for s, line in found.slots.items() if line["deployment"] == str(order.deployment_id)), None)

    def _kept(self, order: Order, found: Standings) -> str | None:
        if order.rolls_back is None:
            return None
        return next(
            (
                slot
                for slot, line in found.slots.items()
                if line["digest"] == order.release.digest and line["deployment"] != str(order.rolls_back)
            ),
            None,
        )

    def _reconcile(self, row: LaneRow) -> Iterator[Correction]:
        place = Place(row.target.lane_key)
        try:
            with place.at_work(), place.door(row.fence) as found:
                wanted = {each.slot.value: each for each in (row.live, row.warm) if each}
                serves = {found.live} if row.live else set()
                for slot in set(found.slots) - set(wanted) - serves:
                    place.append({"effect": "stop", "slot": slot, "fence": row.fence, "deployment": "", "version": ""})
                    yield Correction(row.target.lane_key, f"{slot} was stopped", mended=True)
                if row.live and found.live != row.live.slot.value:
                    yield Correction(
                        row.target.lane_key,
                        f"{found.live} serves, which nobody here asked for",
                        mended=False,
                        drifted=True,
                    )
        except (OutcomeUnknown, StaleFence) as error:
            yield Correction(row.target.lane_key, str(error), mended=False)

    def _behaviour(self, version: str) -> dict[str, str]:
        rules = settings.TARGET_DIR / "behaviour.json"
        try:
            about = rules.stat()
            return _rules(rules, about.st_ino, about.st_mtime_ns, about.st_size).get(version, {})
        except FileNotFoundError:
            return {}

    def _misbehave(self, kind: StepKind, order: Order) -> None:
        rule = self._behaviour(order.release.version)
        error = rule.get(kind) if rule.get("lane") in (None, order.target.lane_key) else None
        if error == "reject":
            raise ArtifactRejected("another digest than the release's")
        if error == "fail":
            raise ReleaseFailed(f"{order.release.version} did not start: \x1b[31mno such module\x1b[0m\nin line 3")
        if error == "untouched":
            raise TargetUntouched("the index can't be asked")
        if error == "bug":
            raise RuntimeError("a fault of ours")

    def _wait(self, kind: StepKind, cancelled: threading.Event) -> None:
        while (settings.TARGET_DIR / f"deaf-{kind}").exists():
            (settings.TARGET_DIR / f"waiting-{kind}").touch()
            time.sleep(0.02)
        if (settings.TARGET_DIR / f"heard-{kind}").exists():
            return
        while (settings.TARGET_DIR / f"wait-{kind}").exists():
            (settings.TARGET_DIR / f"waiting-{kind}").touch()
            if cancelled.wait(0.02):
                raise Cancelled("cancelled")
        if cancelled.is_set():
            raise Cancelled("cancelled")


@lru_cache(maxsize=1)
def _rules(path: Path, *_read_anew_when_changed: int) -> dict[str, dict[str, str]]:
    return dict(json.loads(path.read_text()))


def put(path: Path, content: str) -> None:
    """Put a file in place as a whole. Only processes die here, never the machine: nothing waits for the disk."""
    whole = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    whole.write_text(content)
    whole.replace(path)


def executor() -> FileTarget:
    return FileTarget()


@dataclass
class Judge:
    """What a test sees and says of the target."""

    folder: Path

    def behave(self, **by_version: Mapping[str, str]) -> None:
        """Set what goes wrong, in the "lane" of this key alone if one is named; versions have underscores here."""
        rules = {version.strip("v").replace("_", "."): rule for version, rule in by_version.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "behaviour.json").write_text(json.dumps(rules))

    def hold(self, kind: StepKind) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"wait-{kind}").touch()

    def deafen(self, kind: StepKind) -> None:
        """Keep the step waiting whatever it is asked, until it is let go; it then goes on as if nobody had asked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"deaf-{kind}").touch()

    def let_go_on(self, kind: StepKind) -> None:
        (self.folder / f"heard-{kind}").touch()
        (self.folder / f"deaf-{kind}").unlink(missing_ok=True)

    def let_go(self, kind: StepKind) -> None:
        (self.folder / f"wait-{kind}").unlink(missing_ok=True)
        (self.folder / f"waiting-{kind}").unlink(missing_ok=True)

    def is_waiting(self, kind: StepKind) -> bool:
        return (self.folder / f"waiting-{kind}").exists()

    def effects(self, lane_key: str, effect: str | None = None) -> list[dict[str, Any]]:
        return [line for line in Place(lane_key).lines() if effect in (None, line["effect"])]

    def serves(self, lane_key: str) -> str | None:
        found = Place(lane_key).standings()
        return found.slots[found.live]["version"] if found.live else None

    def require_once(self, lane_key: str) -> None:
        """Hold the ledger against the rule: each attempt started and switched at most once, no fence ever went back."""
        lines = self.effects(lane_key)
        for effect in ("start", "switch"):
            keys = [line["deployment"] for line in lines if line["effect"] == effect]
            assert len(keys) == len(set(keys)), f"{effect} more than once: {lines}"
        fences = [line["fence"] for line in lines]
        assert fences == sorted(fences), f"a fence went back: {fences}"


def wait_for(condition: Any, *, seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)
    return value
