"""`make soak`: engines, workers and faults for MINUTES; see `run.py`. The engines and all folders are its own."""

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.engines import Engines, static_files
from tests.plugin import QUICK_CLOCKS


def main() -> int:
    os.environ["EAIP_TEST_STATIC"] = str(static_files())
    engines = Engines.start(durable=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix="eaip-soak-"))
        os.environ |= engines.environment("soak", 1) | {
            "EXECUTORS": "local=tests.deployments.file_target.executor",
            "EAIP_TARGET_DIR": str(folder / "target"),
        }
        if os.environ.get("CLOCKS") != "real":
            os.environ |= QUICK_CLOCKS | {
                "ENGINE_VERIFY_INTERVAL_SECONDS": "0.05",
                "HEALTH_INTERVAL_SECONDS": "10",
                "ENGINE_JUDGE_SECONDS": "15",
            }
        importlib.import_module("django").setup()
        # The settings must be there before anything of Django's is imported.
        run = importlib.import_module("tests.soak.run")
        failed = run.soak(engines, folder, minutes=float(os.environ.get("MINUTES", "30")))
        if failed:
            print(f"Logs and ledgers are kept in {folder}")
        else:
            shutil.rmtree(folder)
        return int(failed)
    finally:
        engines.stop()


if __name__ == "__main__":
    sys.exit(main())
