"""A dossier in, PDF out: a program, run by `copies.py` (ADR 0105). It knows the data and its fonts, and nothing else.

PDF/A-3u by fpdf2, laid out here: a table of a thousand rows takes seconds with the library's own, and it drops letters
that a font lacks. Same data, same bytes. The facts are attached as the bytes that the digest is of.
"""

import hashlib
import json
import resource
import sys
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.fonts import TTFFont

FONTS = Path(__file__).resolve().parent / "vendor"
# What is looked for a letter in, in turn; those after the first are read when a letter is not in those before.
SANS = ("inter-latin", "inter-latin-ext", "inter-cyrillic", "inter-greek")
MONO = ("jetbrains-mono-latin", "jetbrains-mono-latin-ext", "jetbrains-mono-cyrillic", "jetbrains-mono-greek")
OTHERS = ("DejaVuSans.ttf", "noto-sans-jp-japanese-400-normal.woff", "noto-sans-sc-chinese-simplified-400-normal.woff",
          "noto-sans-kr-korean-400-normal.woff")  # fmt: skip
FACES = {
    "sans": tuple(f"{name}-400-normal.woff" for name in SANS) + OTHERS,
    "bold": tuple(f"{name}-600-normal.woff" for name in SANS) + OTHERS,
    "mono": tuple(f"{name}-400-normal.woff" for name in MONO) + OTHERS,
}
# Millimetres, on A4.
LEFT, RIGHT, TOP, BOTTOM = 16.0, 194.0, 18.0, 275.0
WIDTH = RIGHT - LEFT
PROOF = 15.0
LABEL = 40.0
PAD = 1.2
NOTHING = "\N{EN DASH}"
# Those of portal.css, in light.
INK, SOFT, LINE, HEAD = (23, 26, 33), (94, 103, 118), (201, 206, 217), (242, 244, 248)
TONES = {"bad": (176, 32, 37), "warn": (140, 84, 0), "ok": (15, 110, 60), "": INK}
LIMITS = {resource.RLIMIT_AS: 2 << 30, resource.RLIMIT_CPU: 120, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}

Text = list[tuple[str, str]]


class Faces:
    """Which font file draws a letter, and how wide that is."""

    def __init__(self, pdf: FPDF) -> None:
        self.pdf = pdf
        self._paths = {path.name: path for path in FONTS.rglob("*") if path.suffix in (".woff", ".ttf")}
        self._face: dict[tuple[str, str], str] = {}
        self._width: dict[tuple[str, str], float] = {}

    def width(self, style: str, text: str, size: float) -> float:
        known = self._width
        total = 0.0
        for letter in text:
            key = (style, letter)
            if key not in known:
                face = self.face(style, letter)
                known[key] = self.pdf.fonts[face].get_text_width(letter, 1, None)[1] / self.pdf.k
            total += known[key]
        return total * size

    def runs(self, style: str, text: str) -> Iterator[tuple[str, str]]:
        """Yield the text in parts that one font draws."""
        if text.isascii():  # what most of it is, and the first font has all of it
            yield self.face(style, "a"), text
            return
        for face, letters in groupby(text, key=lambda letter: self.face(style, letter)):
            yield face, "".join(letters)

    def face(self, style: str, letter: str) -> str:
        key = (style, letter)
        if key not in self._face:
            self._face[key] = self._find(style, letter) or FACES[style][0].lower()
        return self._face[key]

    def draws(self, style: str, letter: str) -> bool:
        return bool(self._find(style, letter))

    def _find(self, style: str, letter: str) -> str:
        for name in FACES[style]:
            face = name.lower()
            if face not in self.pdf.fonts:
                self.pdf.add_font(face, "", self._paths[name])
            font = self.pdf.fonts[face]
            if isinstance(font, TTFFont) and ord(letter) in font.cmap:
                return face
        return ""


class Paper:
    """Draws from the top of the page to its bottom, and goes on overleaf."""

    def __init__(self, facts: dict[str, Any], seal: dict[str, Any], made: dict[str, Any]) -> None:
        self.facts, self.seal, self.made = facts, seal, made
        self.numbers = {entry["id"]: number for number, entry in enumerate(facts["entries"], 1)}
        self.pdf = FPDF(enforce_compliance="PDF/A-3U")
        self.pdf.set_auto_page_break(False)
        self.pdf.set_lang("en")
        self.faces = Faces(self.pdf)
        self.known: dict[str, str] = {}
        self.wrapped: dict[tuple[str, str, float, float], list[str]] = {}
        self.colour: tuple[int, int, int] | None = None
        self.font: tuple[str, float] | None = None
        self.y = TOP

    def printed(self, copy: bytes) -> bytes:
        at = datetime.fromisoformat(self.made["at"])
        canonical = json.dumps(self.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
        digest = hashlib.sha256(canonical).hexdigest()
        if digest != self.made["sha256"]:
            raise SystemExit("These facts have another digest than the one that was told.")
        self._about(at)
        self._page()
        self._cover()
        for section in self.facts["sections"]:
            self._section(section)
        self._entries()
        self._feet()
        self.pdf.embed_file(
            bytes=canonical, basename="facts.json", mime_type="application/json", modification_date=at,
            associated_file_relationship="Source", desc="The facts; their SHA-256 stands on every page", compress=True,
        )  # fmt: skip
        self.pdf.embed_file(
            bytes=copy, basename="dossier.json", mime_type="application/json", modification_date=at,
            associated_file_relationship="Data", desc="Facts, entries and proofs, for verify_audit.py", compress=True,
        )  # fmt: skip
        if notes := [each["note"] for each in self.seal["checkpoints"]]:
            self.pdf.embed_file(
                bytes="--\n".join(notes).encode(), basename="checkpoints.txt", mime_type="text/plain",
                modification_date=at, associated_file_relationship="Data", desc="The signed checkpoints",
            )  # fmt: skip
        return bytes(self.pdf.output())

    def _about(self, at: datetime) -> None:
        pdf, title = self.pdf, self._clean(self.facts["title"])
        pdf.set_title(title)
        pdf.set_author(self._clean(self.made["by"]))
        pdf.set_subject(f"SHA-256 {self.made['sha256']}")
        pdf.set_creator("EAIP Operations")
        pdf.set_producer("fpdf2")
        pdf.set_creation_date(at)
        when = at.isoformat(timespec="seconds")
        pdf.set_xmp_metadata(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
            'xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">'
            f'<rdf:Description rdf:about="" xmp:CreatorTool="EAIP Operations" xmp:CreateDate="{when}" '
            f'xmp:ModifyDate="{when}" xmp:MetadataDate="{when}" pdf:Producer="fpdf2">'
            "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>U</pdfaid:conformance>"
            f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>'
            '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
            f"SHA-256 {self.made['sha256']}</rdf:li></rdf:Alt></dc:description>"
            f"<dc:creator><rdf:Seq><rdf:li>{escape(self._clean(self.made['by']))}</rdf:li></rdf:Seq></dc:creator>"
            "</rdf:Description></rdf:RDF></x:xmpmeta>"
        )

    # Letters

    def _clean(self, text: str) -> str:
        """Return text of which every letter can be drawn; what can't be, and what turns text, by its number."""
        if text.isascii() and text.isprintable():
            return text
        known = self.known
        out = []
        for letter in unicodedata.normalize("NFC", text.replace("\t", "    ")):
            if letter not in known:
                hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
                is_drawn = not hidden and self.faces.draws("sans", letter) and self.faces.draws("mono", letter)
                known[letter] = letter if is_drawn else f"<U+{ord(letter):04X}>"
            out.append(known[letter])
        return "".join(out)

    def _write(  # noqa: PLR0917  where, what, how: as a drawing says it
        self, x: float, y: float, text: str, style: str, size: float, colour: tuple[int, int, int] = INK
    ) -> None:
        if not text:
            return
        if self.colour != colour:
            self.pdf.set_text_color(*colour)
            self.colour = colour
        for face, part in self.faces.runs(style, text):
            if self.font != (face, size):
                self.pdf.set_font(face, "", size)
                self.font = (face, size)
            self.pdf.text(x, y, part)
            x += self.faces.width(style, part, size) if part is not text else 0

    def _wrapped(self, text: str, style: str, size: float, width: float) -> list[str]:
        key = (text, style, size, width)
        if key not in self.wrapped:
            self.wrapped[key] = self._wrap(text, style, size, width)
        return self.wrapped[key]

    def _wrap(self, text: str, style: str, size: float, width: float) -> list[str]:
        lines: list[str] = []
        measure: Callable[[str], float] = lambda part: self.faces.width(style, part, size)  # noqa: E731
        for paragraph in text.split("\n"):
            line, used = "", 0.0
            clean = self._clean(paragraph)
            if len(clean) < 400 and measure(clean) <= width:
                lines.append(clean)
                continue
            for word in _words(clean):
                wide = measure(word)
                if used + measure(word.rstrip()) <= width:
                    line, used = line + word, used + wide
                    continue
                if line:
                    lines.append(line.rstrip())
                line, used = "", 0.0
                for letter in word if wide > width else ():
                    step = measure(letter)
                    if line and used + step > width:
                        lines.append(line)
                        line, used = "", 0.0
                    line, used = line + letter, used + step
                if wide <= width:
                    line, used = word, wide
            lines.append(line.rstrip())
        return lines

    # Pages

    def _page(self) -> None:
        self.pdf.add_page()
        self.y, self.colour, self.font = TOP, None, None

    def _room(self, height: float) -> None:
        if self.y + height > BOTTOM:
            self._page()

    def _paragraph(
        self, text: str, style: str, size: float, colour: tuple[int, int, int] = INK, gap: float = 1.5
    ) -> None:
        step = size * 0.5
        for line in self._wrapped(text, style, size, WIDTH):
            self._room(step)
            self._write(LEFT, self.y + step * 0.75, line, style, size, colour)
            self.y += step
        self.y += gap

    def _cover(self) -> None:
        kind = {"deployment": "Dossier of a deployment", "release": "Dossier of a release",
                "period": "Dossier of a period"}[self.facts["subject"]["kind"]]  # fmt: skip
        self.pdf.start_section(self._clean(self.facts["title"]), 0)
        self._write(LEFT, self.y + 3, f"EAIP OPERATIONS   {kind.upper()}", "bold", 7, SOFT)
        self.y += 6
        self._paragraph(self.facts["title"], "bold", 19, gap=3)
        rows = [
            ("SHA-256 of the facts", self.made["sha256"], "mono"),
            ("Made by", self.made["by"], "sans"),
            ("Made at", _moment(self.made["at"]), "sans"),
            ("Entry of the ledger", "The audit trail finds it by this SHA-256.", "sans"),
        ]
        for each in self.seal["checkpoints"]:
            when = _moment(each["signed_at"])
            rows.append((f"Checkpoint, {each['name']}", f"{each['tree_size']} entries, {when}", "sans"))
            rows.append(("Its root", each["root"], "mono"))
        if not self.seal["checkpoints"]:
            rows.append(("Checkpoint", "None was signed yet: no entry here is sealed.", "sans"))
        height = 2.4 + 4.1 * len(rows)
        self.pdf.set_fill_color(*HEAD)
        self.pdf.rect(LEFT, self.y, WIDTH, height, style="F")
        self.y += 1.2
        for label, value, style in rows:
            self._write(LEFT + 3, self.y + 2.9, self._clean(label), "sans", 7.5, SOFT)
            self._write(LEFT + 3 + LABEL, self.y + 2.9, self._clean(value), style, 7.5 if style == "sans" else 7)
            self.y += 4.1
        self.y += 3.5
        self._paragraph(
            "Numbers in brackets are entries of the audit ledger, listed at the end with their ids. The facts "
            "themselves are attached to this file as facts.json: its SHA-256 is the one above, and stands in the entry "
            "of the ledger that tells of this dossier. Attached too is dossier.json, with the entries as they were "
            "sealed and their proofs: verify_audit.py checks it without the portal. Times are UTC.",
            "sans", 7.5, SOFT, gap=3,
        )  # fmt: skip

    def _section(self, section: dict[str, Any]) -> None:
        self._room(28 if section["rows"] or section["facts"] else 14)
        self.y += 3
        self.pdf.start_section(self._clean(section["title"]), 1)
        self._write(LEFT, self.y + 4, self._clean(section["title"]), "bold", 12)
        self.y += 6.5
        if section["says"]:
            self._paragraph(section["says"], "sans", 7.5, SOFT)
        for fact in section["facts"]:
            self._fact(fact)
        if section["facts"]:
            self.y += 2
        if section["rows"]:
            self._table(section["columns"], section["rows"])
        if section["lines"]:
            self._lines(section["lines"])

    def _fact(self, fact: dict[str, Any]) -> None:
        style = "mono" if fact["show"] == "code" else "sans"
        size = 7.5 if style == "sans" else 7
        label = self._wrapped(fact["label"], "sans", 7.5, LABEL - 2)
        value = self._wrapped(shown(fact["value"], fact["show"]), style, size, WIDTH - LABEL - PROOF)
        for number in range(max(len(label), len(value))):
            self._room(3.9)
            if number < len(label):
                self._write(LEFT, self.y + 2.9, label[number], "sans", 7.5, SOFT)
            if number < len(value):
                self._write(LEFT + LABEL, self.y + 2.9, value[number], style, size)
            if number == 0:
                self._proof(RIGHT - PROOF + 1, self.y + 2.9, fact["entries"])
            self.y += 3.9

    def _proof(self, x: float, y: float, entries: list[str], size: float = 6.5) -> None:
        for key in entries:
            text = f"[{self.numbers[key]}]"
            wide = self.faces.width("sans", text, size)
            self._write(x, y, text, "sans", size, (33, 82, 176))
            self.pdf.link(x, y - 2.4, wide, 3, f"{self.made['site']}/audit/{key}/")
            x += wide + 0.6

    # Tables

    def _table(self, columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
        has_proof = any(row["entries"] for row in rows)
        room = WIDTH - (PROOF if has_proof else 0)
        share = room / sum(column["weight"] for column in columns)
        widths = [column["weight"] * share for column in columns]
        self._head(columns, widths)
        for row in rows:
            self._row(columns, widths, row)
        self.y += 2

    def _head(self, columns: list[dict[str, Any]], widths: list[float]) -> None:
        cells = [
            self._wrapped(column["label"], "bold", 6.5, width - PAD)
            for column, width in zip(columns, widths, strict=True)
        ]
        height = 3.0 * max(map(len, cells)) + 2
        self._room(height + 8)
        x = LEFT
        for lines, width in zip(cells, widths, strict=True):
            for number, line in enumerate(lines):
                self._write(x, self.y + 3.0 + 3.0 * number, line, "bold", 6.5, SOFT)
            x += width
        self.y += height
        self._rule(SOFT, 0.25)

    def _rule(self, colour: tuple[int, int, int], width: float) -> None:
        self.pdf.set_draw_color(*colour)
        self.pdf.set_line_width(width)
        self.pdf.line(LEFT, self.y, RIGHT, self.y)

    def _row(self, columns: list[dict[str, Any]], widths: list[float], row: dict[str, Any]) -> None:
        cells = []
        for column, width in zip(columns, widths, strict=True):
            is_code = column["show"] == "code"
            style, size = ("mono", 6.0) if is_code else ("sans", 6.8)
            if column["show"] == "state":
                style = "bold"
            text = shown(row["values"].get(column["key"]), column["show"])
            if column["show"] == "time":
                text = text.replace(" ", "\n", 1)
            colour = TONES[row["tone"]] if column["show"] == "state" else INK
            cells.append((self._wrapped(text, style, size, width - PAD), style, size, colour))
        proof = self._proof_lines(row["entries"])
        tall = max([len(cell[0]) for cell in cells] + [len(proof)])
        first = 0
        while first < tall:
            fits = int((BOTTOM - self.y - 1.6) / 3.1)
            left = tall - first
            if fits < left and (fits < 3 or left * 3.1 < BOTTOM - TOP - 20):
                self._page()
                self._head(columns, widths)
                fits = int((BOTTOM - self.y - 1.6) / 3.1)
            taken = min(left, fits)
            self._cells(cells, widths, proof, first, taken)
            self.y += 3.1 * taken + 1.6
            first += taken
        self._rule(LINE, 0.12)

    def _cells(self, cells: list[Any], widths: list[float], proof: list[list[str]], first: int, taken: int) -> None:
        x = LEFT
        for (lines, style, size, colour), width in zip(cells, widths, strict=True):
            for place, line in enumerate(lines[first : first + taken]):
                self._write(x, self.y + 3.0 + 3.1 * place, line, style, size, colour)
            x += width
        for place, keys in enumerate(proof[first : first + taken]):
            self._proof(RIGHT - PROOF + 1, self.y + 3.0 + 3.1 * place, keys, 6)

    def _proof_lines(self, entries: list[str]) -> list[list[str]]:
        lines: list[list[str]] = []
        used = PROOF
        for key in entries:
            wide = self.faces.width("sans", f"[{self.numbers[key]}]", 6) + 0.6
            if used + wide > PROOF - 1:
                lines.append([])
                used = 0
            lines[-1].append(key)
            used += wide
        return lines

    def _lines(self, lines: list[str]) -> None:
        size, step = 5.8, 2.7
        most = int(WIDTH / self.faces.width("mono", "0", size))
        for text in lines:
            line = self._clean(text)
            parts = [line[at : at + most] for at in range(0, len(line), most)] or [""]
            if not line.isascii():
                parts = self._wrapped(line, "mono", size, WIDTH)
            for part in parts:
                self._room(step)
                self._write(LEFT, self.y + 2.1, part, "mono", size)
                self.y += step

    def _entries(self) -> None:
        columns = [
            {"key": "number", "label": "Number", "show": "text", "weight": 2},
            {"key": "at", "label": "When", "show": "time", "weight": 4},
            {"key": "kind", "label": "Kind", "show": "code", "weight": 4},
            {"key": "actor", "label": "By", "show": "text", "weight": 4},
            {"key": "summary", "label": "What", "show": "text", "weight": 9},
            {"key": "id", "label": "Id of the entry", "show": "code", "weight": 7},
            {"key": "leaf", "label": "Leaf", "show": "text", "weight": 2},
        ]
        rows = [
            {"values": {**entry, "number": f"[{number}]", "leaf": _leaf(self.seal["leaves"].get(entry["id"]))},
             "entries": [], "tone": ""}
            for number, entry in enumerate(self.facts["entries"], 1)
        ]  # fmt: skip
        self._section({
            "title": "Entries of the ledger",
            "says": "What proves the lines above, oldest first. A leaf is the entry's place in the tree that the "
            "checkpoint signs; an entry without one is not in it yet.",
            "facts": [], "columns": columns, "rows": rows, "lines": [],
        })  # fmt: skip

    def _feet(self) -> None:
        pages = self.pdf.pages_count
        left = f"EAIP Operations   {self._clean(self.facts['title'])}"
        made = f"Made by {self._clean(self.made['by'])}, {_moment(self.made['at'])}"
        for page in range(1, pages + 1):
            self.pdf.page = page
            self.pdf.current_font_is_set_on_page = False
            self.colour = self.font = None
            self.y = 280
            self._rule(LINE, 0.12)
            self._write(LEFT, 284, self._wrapped(left, "sans", 6.5, WIDTH - 20)[0], "sans", 6.5, SOFT)
            number = f"{page} / {pages}"
            self._write(RIGHT - self.faces.width("sans", number, 6.5), 284, number, "sans", 6.5, SOFT)
            self._write(LEFT, 287.5, self._wrapped(made, "sans", 6.5, 70)[0], "sans", 6.5, SOFT)
            digest = f"SHA-256 {self.made['sha256']}"
            self._write(RIGHT - self.faces.width("mono", digest, 5.8), 287.5, digest, "mono", 5.8, SOFT)


def shown(value: Any, show: str) -> str:
    """Return a value as it is read."""
    if value is None or value == "" or value == []:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "\n".join(str(each) for each in value)
    return _moment(value) if show == "time" else str(value)


def _moment(value: str) -> str:
    return f"{value[:10]} {value[11:19]} UTC"


def _leaf(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def _words(text: str) -> Iterator[str]:
    """Yield the words with the spaces behind them; long names break behind what parts them."""
    word = ""
    for letter in text:
        if word and word[-1] in " -/_,=@" and letter != " ":
            yield word
            word = ""
        word += letter
    if word:
        yield word


def main() -> None:
    for limit, most in LIMITS.items():
        resource.setrlimit(limit, (most, most))
    copy = sys.stdin.buffer.read()
    given = json.loads(copy)
    sys.stdout.buffer.write(Paper(given["facts"], given["seal"], given["made"]).printed(copy))


if __name__ == "__main__":
    main()
