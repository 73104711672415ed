"""Semantic Versioning 2.0.0 (semver.org): reading, order and kinds. Pure."""

from dataclasses import dataclass

import semver

from apps.releases.enums import ReleaseKind

LIMIT = 80
LARGEST = 2_147_483_647


class VersionInvalid(ValueError):
    """Not a version as SemVer 2.0 writes it."""


@dataclass(frozen=True)
class Version:
    """A version; `str` gives it as it was written. Build metadata takes no part in the order (section 10)."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        text += f"-{'.'.join(self.prerelease)}" if self.prerelease else ""
        return text + (f"+{self.build}" if self.build else "")

    @property
    def core(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    @property
    def precedence(self) -> str:
        """Text whose order by code point, after that of `core`, is that of section 11.

        Numbers come before words and go by value; fewer fields come first; a release comes after its pre-releases.
        """
        return "!".join(_field(field) for field in self.prerelease) if self.prerelease else "~"

    @property
    def key(self) -> tuple[int, int, int, str]:
        return *self.core, self.precedence


def parse(text: str) -> Version:
    """This function will read a version.

    Raises VersionInvalid: with the first thing that is wrong with it, and an example.
    """
    if len(text) > LIMIT:
        raise VersionInvalid(f"A version has at most {LIMIT} characters; this one has {len(text)}.")
    try:
        read = semver.Version.parse(text)
    except (ValueError, TypeError) as error:
        raise VersionInvalid(_why(text)) from error
    if not text.isascii() or max(read.major, read.minor, read.patch) > LARGEST:
        raise VersionInvalid(f"A number of {text!r} is larger than {LARGEST}." if text.isascii() else _why(text))
    prerelease = tuple(read.prerelease.split(".")) if read.prerelease else ()
    return Version(read.major, read.minor, read.patch, prerelease, read.build or "")


def kind_after(previous: Version | None, new: Version) -> ReleaseKind:
    """This function will name the step from the highest lower release to the new one."""
    if new.prerelease:
        return ReleaseKind.PRERELEASE
    if previous is None:
        return ReleaseKind.INITIAL
    if new.major != previous.major:
        return ReleaseKind.MAJOR
    return ReleaseKind.MINOR if new.minor != previous.minor else ReleaseKind.PATCH


def next_core(previous: Version | None, *, breaking: bool, feature: bool) -> str:
    """This function will name the version that is being worked on after a release, by what has come since."""
    if previous is None:
        return "0.1.0"
    if breaking and previous.major:
        return f"{previous.major + 1}.0.0"
    if breaking or feature:
        return f"{previous.major}.{previous.minor + 1}.0"
    return f"{previous.major}.{previous.minor}.{previous.patch + 1}"


def blocked_by(new: Version, existing: list[Version]) -> Version | None:
    """This function will return the version above which the new one must be and is not, if there is one.

    An older line may go on (1.4.3 after 2.0.0), but nothing is put in below what is there: a patch stands above all
    of its minor line, a minor above all of its major line, a major above all, a pre-release below no release of its
    own version.
    """
    if new.prerelease:
        line = [
            v for v in existing if v.core == new.core and (not v.prerelease or v.prerelease[0] == new.prerelease[0])
        ]
    elif new.patch and any(v.core[:2] == new.core[:2] for v in existing):
        line = [v for v in existing if v.core[:2] == new.core[:2] and not v.prerelease]
    elif new.minor and any(v.major == new.major for v in existing):
        line = [v for v in existing if v.major == new.major and not v.prerelease]
    else:
        line = [v for v in existing if not v.prerelease]
    highest = max(line, key=lambda version: version.key, default=None)
    return highest if highest is not None and highest.key >= new.key else None


def _field(field: str) -> str:
    return f"1{len(field):02}{field}" if field.isdigit() else f"2{field}"


def _why(text: str) -> str:
    example = "A version looks like 1.4.0 or 1.5.0-rc.1 (Semantic Versioning 2.0)."
    if text[:1] in {"v", "V"} and text[1:2].isdigit():
        return f"{text[:40]!r} begins with a letter; that belongs to the tag, not to the version. {example}"
    if any(part != "0" and part.startswith("0") and part.isdigit() for part in text.split("-")[0].split(".")):
        return f"{text[:40]!r} has a number with a leading zero. {example}"
    return f"{text[:40]!r} is not a version. {example}"
