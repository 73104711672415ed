"""Copy reports that nobody here wrote out of the source distributions they come in, for tests.

Run by `make vendor` on a developer's machine; the result is committed, with the licence of each.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "documents"
BENCHMARK = "tests/test_storage/{}_b87b9aae14ff14a7887a6bbaa9731b9a8760555d_20150814_{}_uncommitted-changes.json"
# source distribution -> (licence, files we take)
SDISTS = {
    "spdx-tools==0.8.5": (
        "Apache-2.0",
        ["tests/spdx/data/SPDXJSONExample-v2.3.spdx.json", "tests/spdx/data/SPDXTagExample-v2.3.spdx"],
    ),
    "ntia-conformance-checker==6.0.0": (
        "Apache-2.0",
        ["tests/data/SPDXSBOMExampleTests/photon.spdx.tag", "tests/data/spdx3/has_sbom.json"],
    ),
    "pypi-attestations==0.0.30": ("Apache-2.0", ["test/assets/pypi_attestations-0.0.19.tar.gz.slsa.attestation"]),
    "sast-mcp-server==0.8.3": ("MIT", ["tests/fixtures/zap_output.json"]),
    "pytest-benchmark==5.3.1": (
        "BSD-2-Clause",
        [BENCHMARK.format("0001", "190343"), BENCHMARK.format("0002", "190348")],
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    entries = [entry for wanted in SDISTS for entry in _take(wanted)]
    text = json.dumps({"files": sorted(entries, key=lambda entry: entry["path"])}, indent=2)
    (FOLDER / "manifest.json").write_text(text + "\n")
    print(f"tests/documents: {len(entries)} files")


def _take(wanted: str) -> list[dict[str, str]]:
    licence, files = SDISTS[wanted]
    name, _, version = wanted.partition("==")
    entries = []
    with tempfile.TemporaryDirectory() as there:
        ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", there]
        subprocess.run([*ask, wanted], check=True)
        with tarfile.open(next(Path(there).iterdir())) as archive:
            archive.extractall(there, filter="data")
        [top] = (found for found in Path(there).iterdir() if found.is_dir())
        for file in (*files, "LICENSE"):
            path = FOLDER / f"{name}@{version}" / Path(file).name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(top / file, path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entries.append({"path": str(path.relative_to(FOLDER)), "package": name, "version": version,
                            "licence": licence, "sha256": digest})  # fmt: skip
    return entries


if __name__ == "__main__":
    main()
