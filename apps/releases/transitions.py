"""The states of a release: the only code that assigns one."""

from apps.core.verdict import Conflict
from apps.releases.enums import ReleaseState
from apps.releases.models import Release

ALLOWED: dict[ReleaseState, frozenset[ReleaseState]] = {
    ReleaseState.DRAFT: frozenset({ReleaseState.SEALED}),
    ReleaseState.SEALED: frozenset({ReleaseState.QUARANTINED, ReleaseState.RETIRED}),
    ReleaseState.QUARANTINED: frozenset({ReleaseState.SEALED, ReleaseState.RETIRED}),
    ReleaseState.RETIRED: frozenset(),
}

# The kind of the event that each change leaves.
KINDS: dict[tuple[ReleaseState, ReleaseState], str] = {
    (ReleaseState.DRAFT, ReleaseState.SEALED): "release.sealed",
    (ReleaseState.SEALED, ReleaseState.QUARANTINED): "release.quarantined",
    (ReleaseState.QUARANTINED, ReleaseState.SEALED): "release.released",
    (ReleaseState.SEALED, ReleaseState.RETIRED): "release.retired",
    (ReleaseState.QUARANTINED, ReleaseState.RETIRED): "release.retired",
}


class StaleRelease(Conflict):
    code = "stale_release"


def advance(release: Release, to: ReleaseState, **values: object) -> str:
    """This function will bring a locked release to a state, set `values` with it, and return the kind of the event.

    Raises StaleRelease: when its state does not lead there.
    """
    state = ReleaseState(release.state)
    if to not in ALLOWED[state]:
        raise StaleRelease(
            f"{release.service} {release.version} is {state.label.lower()}, so it can't be {to.label.lower()}."
        )
    changed = Release.objects.filter(pk=release.pk, state=state).update(state=to, **values)
    if not changed:
        raise StaleRelease(f"{release.service} {release.version} has just changed.")
    for name, value in {"state": to, **values}.items():
        setattr(release, name, value)
    return KINDS[state, to]
