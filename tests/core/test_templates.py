"""What no template may hold, that every icon exists, and that vendored files are the ones that were vendored."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from apps.core import tones

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ICONS = set(
    re.findall(r'<symbol id="([^"]+)"', next((ROOT / "static/vendor").glob("lucide-static@*/sprite.svg")).read_text())
)

# Each needs eval, an inline script or an inline style, which the content security policy forbids,
# or is a colour of Bootstrap's that fails contrast.
BANNED = {
    "inline style": r"""<[^>]*\sstyle\s*=""",
    "style element": r"<style[\s>]",
    "inline script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "event attribute": r"""<[^>]*\son[a-z]+\s*=\s*["']""",
    "hx-on": r"\shx-on[:=-]",
    "js: value": r"""=\s*["'](js|javascript):""",
    "trigger filter": r"""hx-trigger\s*=\s*["'][^"']*\[""",
    "foreign address": r"""(?:src|href)\s*=\s*["'](?:https?:)?//""",
    "Bootstrap colour": r"""class="[^"]*\b(?:text|bg|btn|alert|badge)-"""
    r"""(?:primary|secondary|success|danger|warning|info|muted|light|dark)\b""",
    "mark_safe": r"\|\s*safe\b(?!seq)|{%\s*autoescape\s+off",
}


@pytest.mark.parametrize("name", BANNED)
def test_no_template_holds_what_the_policy_forbids(name):
    found = [str(path.relative_to(ROOT)) for path in TEMPLATES if _breaks(name, path.read_text())]

    assert found == []


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("inline style", '<p style="color:red">'),
        ("inline script", "<script>go()</script>"),
        ("event attribute", '<a onclick="go()">'),
        ("hx-on", '<a hx-on:click="go()">'),
        ("js: value", '<a hx-vals="js:{a: 1}">'),
        ("trigger filter", '<a hx-trigger="click[ctrlKey]">'),
        ("foreign address", '<script src="https://cdn.example/x.js">'),
        ("Bootstrap colour", '<p class="sm text-danger">'),
        ("mark_safe", "{{ log|safe }}"),
    ],
)
def test_the_ban_would_find_it(name, bad):
    assert _breaks(name, bad)


def _breaks(name, text):
    # Arguments of template tags, such as only="1", are no attributes.
    html = text if name == "mark_safe" else re.sub(r"{%.*?%}", "", text)
    return re.search(BANNED[name], html)


def test_every_icon_that_templates_name_is_in_the_sprite():
    named = re.compile(r"""{%\s*icon\s+"([^"]+)"|\sicon="([^"]+)"|icon_name\|default:"([^"]+)\"""")
    used = {name for path in TEMPLATES for groups in named.findall(path.read_text()) for name in groups if name}

    assert used - ICONS == set()
    assert used


def test_every_icon_that_python_names_is_in_the_sprite():
    in_words = {tone.icon for tone in tones.TONES.values()} | {tone.icon for tone, _ in tones.GATES.values()}
    named = re.compile(r"""\bicon="([a-z0-9-]+)\"""")
    in_code = {name for path in (ROOT / "apps").rglob("*.py") for name in named.findall(path.read_text())}

    assert (in_words | in_code) - ICONS - {""} == set()


@pytest.mark.parametrize("folder", ["static/vendor", "tests/vendor", "tests/documents", "tests/descriptions"])
def test_vendored_files_are_those_of_the_manifest(folder):
    base = ROOT / folder
    entries = json.loads((base / "manifest.json").read_text())["files"]
    there = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()} - {"manifest.json"}

    assert {entry["path"] for entry in entries} == there
    for entry in entries:
        assert hashlib.sha256((base / entry["path"]).read_bytes()).hexdigest() == entry["sha256"], entry["path"]


def test_the_lock_pins_what_the_manifest_names():
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for folder in ("static/vendor", "tests/vendor"):
        for entry in json.loads((ROOT / folder / "manifest.json").read_text())["files"]:
            assert lock[f"node_modules/{entry['package']}"]["version"] == entry["version"]


def test_what_each_page_loads_stays_small():
    page = (ROOT / "templates/base.html").read_text()
    files = re.findall(r'{% static "([^"]+\.(?:css|js))" %}', page)

    sizes = {name: len(gzip.compress((ROOT / "static" / name).read_bytes(), 9)) for name in files}

    assert len(sizes) == 7
    assert sum(sizes.values()) < 50_000, sizes
