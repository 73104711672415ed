"""Ends of release lines, as people announce them."""

from datetime import date
from typing import Any

from apps.releases import actions
from apps.releases.models import EndOfLife
from tests.cast import NOW
from tests.world import World

EARLIEST = date(2027, 5, 18)


def announced_end(world: World, **fields: Any) -> EndOfLife:
    """Announce that the line of the world's release ends six months from the tests' now."""
    values = {"line": (1, 0), "ends_date": EARLIEST, "reason": "A secret reason", "now": NOW, **fields}
    return actions.announce_end(world.service, by=values.pop("by", world.cast.release_engineer), **values)
