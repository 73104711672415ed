import os
from pathlib import Path

import pytest

from apps.integrations.package_index import PUBLIC_INDEX, IndexUnreachable, NotFound, PackageIndex, index_url
from tests.mirror import Mirror


@pytest.fixture(scope="session")
def fetched() -> Mirror:
    return Mirror.of(("wsgidav", "4.0.1"))


def test_files_come_with_digest_and_size(fetched: Mirror) -> None:
    with Mirror(wheels=fetched.wheels) as mirror:
        file = PackageIndex(mirror.url).files("WsgiDAV")["WsgiDAV-4.0.1-py3-none-any.whl"]

        content = b"".join(PackageIndex(mirror.url).chunks(file))

    wheel = fetched.wheels["WsgiDAV-4.0.1-py3-none-any.whl"]
    assert (file.sha256, file.size, len(content)) == (wheel.sha256, wheel.size, wheel.size)


def test_an_unknown_project_is_named(fetched: Mirror) -> None:
    with Mirror(wheels=fetched.wheels) as mirror, pytest.raises(NotFound, match="no-such-project"):
        PackageIndex(mirror.url).files("no-such-project")


@pytest.mark.parametrize("name", ["../secret", "a b", "", "a/b", "x" * 200])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(NotFound, match="Not a name"):
        PackageIndex("http://127.0.0.1:9/simple").files(name)


def test_an_index_that_is_away_is_unreachable() -> None:
    with pytest.raises(IndexUnreachable, match="can't be reached"):
        PackageIndex("http://127.0.0.1:9/simple", timeout=1).files("pip")


def test_an_index_of_another_kind_is_told_apart(fetched: Mirror) -> None:
    with Mirror(wheels=fetched.wheels) as mirror:
        mirror.answer = lambda path: ("text/html", b"<html></html>")  # type: ignore[method-assign]
        with pytest.raises(IndexUnreachable, match="PEP 691"):
            PackageIndex(mirror.url).files("wsgidav")


def test_only_web_addresses_are_asked() -> None:
    with pytest.raises(IndexUnreachable, match="http or https"):
        PackageIndex("file:///etc").files("passwd")


def test_the_address_is_the_one_that_pip_uses(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example.com/simple\n")
    configured = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}

    assert index_url(configured) == "https://mirror.example.com/simple"
    assert index_url(configured | {"PIP_INDEX_URL": "https://other.example.com/"}) == "https://other.example.com/"
    assert index_url({"HOME": str(tmp_path / "nobody")}) in (PUBLIC_INDEX, index_url(dict(os.environ)))
