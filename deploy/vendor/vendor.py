"""Copy the front-end files we serve out of the npm packages they come in.

Run by `make vendor` on a developer's machine; the result is committed, so neither the product nor its image needs Node.
"""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "node_modules"
SERVED = ROOT / "static" / "vendor"
FOR_TESTS = ROOT / "tests" / "vendor"
PRINTED = ROOT / "apps" / "compliance" / "dossiers" / "vendor"

# package -> (files we take, licence file)
FILES = {
    # The components of Bootstrap are not used: base and layout utilities are half of it.
    "bootstrap": (["dist/css/bootstrap-reboot.min.css", "dist/css/bootstrap-utilities.min.css"], "LICENSE"),
    "htmx.org": (["dist/htmx.min.js", "dist/ext/hx-sse.min.js"], "LICENSE"),
    "@fontsource-variable/inter": (["files/inter-latin-wght-normal.woff2"], "LICENSE"),
    "@fontsource-variable/jetbrains-mono": (["files/jetbrains-mono-latin-wght-normal.woff2"], "LICENSE"),
}
# An API that nobody here described, before and after it lost two operations.
APIS = {f"api-of-figma-{version}": (["openapi/openapi.yaml"], "LICENSE") for version in ("0.21", "0.24")}
# Fonts that dossiers are printed with: the portal's own, then what has letters that they lack.
ALPHABETS = ("latin", "latin-ext", "cyrillic", "greek")
FONTS = {
    "@fontsource/inter": (
        [f"files/inter-{name}-{weight}-normal.woff" for name in ALPHABETS for weight in (400, 600)], "LICENSE",
    ),
    "@fontsource/jetbrains-mono": ([f"files/jetbrains-mono-{name}-400-normal.woff" for name in ALPHABETS], "LICENSE"),
    "dejavu-fonts-ttf": (["ttf/DejaVuSans.ttf"], "LICENSE"),
    "@fontsource/noto-sans-jp": (["files/noto-sans-jp-japanese-400-normal.woff"], "LICENSE"),
    "@fontsource/noto-sans-sc": (["files/noto-sans-sc-chinese-simplified-400-normal.woff"], "LICENSE"),
    "@fontsource/noto-sans-kr": (["files/noto-sans-kr-korean-400-normal.woff"], "LICENSE"),
}  # fmt: skip
TEST_FILES = {"axe-core": (["axe.min.js"], "LICENSE"), **APIS}
SOURCE_MAP = re.compile(rb"\n?(//[#@] sourceMappingURL=\S*|/\*[#@] sourceMappingURL=\S* \*/)\s*$")
SYMBOL = re.compile(r'<symbol id="([^"]+)"[^>]*>.*?</symbol>', re.DOTALL)


def main() -> None:
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=True)
    for folder, packages in ((SERVED, FILES), (FOR_TESTS, TEST_FILES), (PRINTED, FONTS)):
        shutil.rmtree(folder, ignore_errors=True)
        entries = [
            entry for package, (files, licence) in packages.items() for entry in _take(folder, package, files, licence)
        ]
        if folder == SERVED:
            entries += _sprite(folder)
        text = json.dumps({"files": sorted(entries, key=lambda entry: entry["path"])}, indent=2)
        (folder / "manifest.json").write_text(text + "\n")
        print(f"{folder.relative_to(ROOT)}: {len(entries)} files")


def _take(folder: Path, package: str, files: list[str], licence: str) -> list[dict[str, object]]:
    about = {**json.loads((MODULES / package / "package.json").read_text()), "name": package}
    target = folder / f"{package}@{about['version']}"
    entries = []
    for name in [*files, licence]:
        body = (MODULES / package / name).read_bytes()
        # The maps are not shipped, and the manifest storage refuses a file that points at a missing one.
        served = SOURCE_MAP.sub(b"\n", body)
        path, changed = target / Path(name).name, "sourceMappingURL line removed" if served != body else ""
        if path.suffix == ".yaml":
            path, served, changed = path.with_suffix(".yaml.gz"), gzip.compress(body, mtime=0), "compressed"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(served)
        entries.append(_entry(folder, path, about, changed=changed))
    return entries


def _sprite(folder: Path) -> list[dict[str, object]]:
    package = MODULES / "lucide-static"
    about = json.loads((package / "package.json").read_text())
    target = folder / f"lucide-static@{about['version']}"
    target.mkdir(parents=True)
    symbols = {match[1]: match[0] for match in SYMBOL.finditer((package / "sprite.svg").read_text())}
    wanted = (ROOT / "deploy/vendor/icons.txt").read_text().split()
    if missing := sorted(set(wanted) - set(symbols)):
        raise SystemExit(f"lucide-static {about['version']} has no icon named {', '.join(missing)}")
    body = "".join(re.sub(r"\s*\n\s*", "", symbols[name]) + "\n" for name in sorted(set(wanted)))
    sprite = target / "sprite.svg"
    sprite.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">\n{body}</svg>\n')
    shutil.copy(package / "LICENSE", target / "LICENSE")
    return [
        _entry(folder, sprite, about, changed="cut from sprite.svg: only the icons of deploy/vendor/icons.txt"),
        _entry(folder, target / "LICENSE", about, changed=""),
    ]


def _entry(folder: Path, path: Path, about: dict[str, str], *, changed: str) -> dict[str, object]:
    return {
        "path": str(path.relative_to(folder)),
        "package": about["name"],
        "version": about["version"],
        "licence": about["license"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "changed": changed,
    }


if __name__ == "__main__":
    main()
