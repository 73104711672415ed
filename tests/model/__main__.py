"""`make model`: spin checks the model of the engine exhaustively, and each seeded mutant must be found.

Exhaustive means: every order of events within the bounds of a case, which name how often each fault may happen.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("engine.pml")
PACKAGES = {"spin": "spin", "gcc": "gcc", "cpp": "cpp"}
LIMIT_SECONDS = 240
MEMORY_MIB = 3500
NO_FAULTS = {"CRASHES": 0, "MUTES": 0, "CANCELS": 0, "BLINDS": 0, "HANGS": 0}

# What may happen in each case; what it does not name does not happen.
WHOLE: dict[str, dict[str, int]] = {
    "two crashes": {"CRASHES": 2},
    "a crash, a pause, an unanswered look": {"CRASHES": 1, "MUTES": 1, "BLINDS": 1},
    "a pause, a cancellation, a child that hangs": {"MUTES": 1, "CANCELS": 1, "HANGS": 1},
    "a crash, a cancellation, an unanswered look": {"CRASHES": 1, "CANCELS": 1, "BLINDS": 1},
    "a pause, abandoned by a person": {"MUTES": 1, "BLINDS": 1, "ABANDONS": 1},
    "a standby without the last transaction, a pause": {"FAILOVERS": 1, "MUTES": 1},
    "a standby without the last transaction, a crash": {"FAILOVERS": 1, "CRASHES": 1},
    "a standby without the last transaction, a cancellation": {"FAILOVERS": 1, "CANCELS": 1},
    "no lock on the target, a crash, a pause": {"NO_LOCK": 1, "CRASHES": 1, "MUTES": 1},
}  # fmt: skip
MUTANTS: dict[str, dict[str, int]] = {
    "the target does not look at fences": {"NO_DOOR": 1, "MUTES": 1},
    "a look does not raise the fence": {"PROBE_DOES_NOT_RAISE": 1, "MUTES": 1, "CRASHES": 1},
    "the target is not asked before it is tried again": {"PROBE_SKIPPED": 1, "CRASHES": 1, "MUTES": 1},
    "the intent is written after the effect": {"INTENT_AFTER_EFFECT": 1},
    "who succeeds does not ask whose row it is": {"TERMINAL_REWRITTEN": 1, "MUTES": 1},
    "the event is written after the change": {"EVENT_LATER": 1, "CRASHES": 1},
    "a claim looks and takes without a lock": {"CLAIM_WITHOUT_LOCK": 1, "MUTES": 1},
    "gates are not judged again at the claim": {"GATES_NOT_JUDGED_AGAIN": 1},
    "a lane takes two open deployments": {"LANE_TWICE": 1},
    "nobody kills what a dead worker left": {"NO_GUARD": 1, "CRASHES": 1, "HANGS": 1},
    "the lease ends before its owner gives up": {"LEASE_SHORTER_THAN_SILENCE": 1, "NO_LOCK": 1, "MUTES": 1},
    "a guard counts from the start of its child": {"GUARD_COUNTS_FROM_START": 1, "NO_LOCK": 1, "MUTES": 1},
    "the change of the database's epoch is ignored": {"EPOCH_IGNORED": 1, "FAILOVERS": 1, "MUTES": 1},
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    violated: str
    """The assertion that failed; empty: none."""
    is_whole: bool
    states: int
    mebibytes: float
    seconds: float


def check(case: dict[str, int], folder: Path, *, limit: float = LIMIT_SECONDS) -> Seen:
    """Search all orders of events within the case's bounds, until the first violation."""
    began = time.monotonic()
    shutil.copy(MODEL, folder / MODEL.name)
    macros = [f"-D{name}={value}" for name, value in (NO_FAULTS | case).items()]
    _run(["spin", *macros, "-a", MODEL.name], folder)
    options = ["-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MIB}"]
    _run(["gcc", "-O2", "-w", *options, "-o", "pan", "pan.c"], folder)
    # -E: a worker with nothing to do is no fault; that nothing stays open is an assertion of the model's own (I4).
    try:
        said = _run(["./pan", "-E", "-n", "-m500000", "-w25"], folder, limit=limit)
    except subprocess.TimeoutExpired:
        return Seen("", False, 0, 0.0, time.monotonic() - began)
    found = re.search(r"pan:1: (.*?) \(at depth", said)
    return Seen(
        found.group(1).replace("assertion violated", "").strip() if found else "",
        is_whole="Search not completed" not in said and "max search depth too small" not in said,
        states=int(float(re.search(r"([\d.e+]+) states, stored", said).group(1))),  # type: ignore[union-attr]
        mebibytes=float(re.search(r"([\d.]+)\s+total actual memory", said).group(1)),  # type: ignore[union-attr]
        seconds=time.monotonic() - began,
    )


def main(wanted: list[str]) -> int:
    if missing := _install():
        print(f"The model needs {', '.join(missing)}. Install it with\n    sudo {' '.join(_apt(missing))}")
        return 1
    bad = _all("Exhaustive, no violation expected", WHOLE, wanted, expect=False)
    bad += _all("Seeded mutants, each must be found", MUTANTS, wanted, expect=True)
    print(f"\n{'Not as expected: ' + ', '.join(bad) if bad else 'All as expected.'}")
    return 1 if bad else 0


def _all(title: str, cases: dict[str, dict[str, int]], wanted: Iterable[str], *, expect: bool) -> list[str]:
    print(f"\n### {title}\n\n| case | verdict | states | MiB | s |\n| --- | --- | --- | --- | --- |", flush=True)
    bad = []
    for name, case in cases.items():
        if wanted and not any(word in name for word in wanted):
            continue
        with tempfile.TemporaryDirectory(prefix="eaip-model-") as folder:
            seen = check(case, Path(folder))
        if bool(seen.violated) is not expect or not (seen.violated or seen.is_whole):
            bad.append(name)
        verdict = seen.violated.replace("|", "\\|") or ("none violated" if seen.is_whole else "not finished")
        print(f"| {name} | `{verdict}` | {seen.states:,} | {seen.mebibytes:.0f} | {seen.seconds:.1f} |", flush=True)
    return bad


def _run(command: list[str], folder: Path, *, limit: float = LIMIT_SECONDS) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def _install() -> list[str]:
    """Install what is missing where we may; return what still is."""
    missing = _missing()
    if missing and os.getuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {', '.join(missing)} for the model ...", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]
        subprocess.run(_apt(missing), check=False, **quiet)  # type: ignore[call-overload]
        missing = _missing()
    return missing


def _missing() -> list[str]:
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def _apt(packages: list[str]) -> list[str]:
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
