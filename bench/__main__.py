"""`make bench`: runs every figure (or those named), each with engines and a fresh database of its own.

With BENCH_KEPT=FOLDER the databases stay in that folder and are used again: what takes long to fill is filled once.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from deploy.launcher.paths import ROOT
from tests.engines import Engines, static_files

HELPERS = {"__init__", "__main__", "table"}


def main(wanted: list[str]) -> int:
    known = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in HELPERS)
    if unknown := set(wanted) - set(known):
        print(f"No such figure: {', '.join(sorted(unknown))}. There are: {', '.join(known)}")
        return 2
    failed = []
    os.environ["EAIP_TEST_STATIC"] = str(static_files())
    kept = Path(os.environ["BENCH_KEPT"]).absolute() if os.environ.get("BENCH_KEPT") else None
    engines = Engines.start(durable=True, kept=kept)
    try:
        for number, name in enumerate(wanted or known):
            print(f"\n=== {name}", flush=True)
            environment = os.environ | engines.environment(name, number % 16, keeps=bool(kept))
            environment |= {"EAIP_TEST_ENGINES": engines.note()}
            if kept:
                began = time.perf_counter()
                engines.migrate(f"eaip_{name}")
                print(f"migrated in {time.perf_counter() - began:.0f} s", flush=True)
            if subprocess.run(
                [sys.executable, "-m", f"bench.{name}"], check=False, cwd=ROOT, env=environment
            ).returncode:
                failed.append(name)
    finally:
        engines.stop()
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
