import pytest
from django.core.management import CommandError, call_command

from apps.dashboards.management.commands.state_diagram import PLACE, document


def test_the_generated_page_is_fresh():
    call_command("state_diagram", "--check")


def test_a_stale_page_is_told(settings, tmp_path):
    settings.BASE_DIR = tmp_path

    with pytest.raises(CommandError, match="is stale"):
        call_command("state_diagram", "--check")


def test_it_is_written_from_the_tables(settings, tmp_path):
    settings.BASE_DIR = tmp_path

    call_command("state_diagram")

    assert (tmp_path / PLACE).read_text() == document()
    assert "    READY --> DEPLOYING" in document()
    assert "`promotion.requested`" in document()
