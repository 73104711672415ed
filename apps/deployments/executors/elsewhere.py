"""What executors whose targets lie on other machines have in common."""

from collections.abc import Callable, Iterable

from apps.deployments.executors.contract import Correction, LaneRow

Errors = tuple[type[Exception], ...]


def reconcile_each(
    rows: tuple[LaneRow, ...],
    reconcile: Callable[[LaneRow], Iterable[Correction]],
    *,
    place: str,
    away: Errors,
    refused: Errors,
) -> tuple[Correction, ...]:
    """Reconcile lane by lane. A place (a name in the target's address) that is away is asked once, not for each of its
    lanes; an error of either kind becomes a correction that was not mended.
    """
    said_by: dict[str, str] = {}
    found: list[Correction] = []
    for row in rows:
        where = row.target.address.get(place, "")
        said = said_by.get(where, "")
        try:
            found += [] if said else reconcile(row)
        except away as error:
            said = said_by[where] = str(error)
        except refused as error:
            said = str(error)
        if said:
            found.append(Correction(row.target.lane_key, said, mended=False))
    return tuple(found)
