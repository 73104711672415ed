"""The life of an incident. `advance` is the only code that assigns its state."""

from apps.core.verdict import Conflict
from apps.incidents.enums import IncidentState
from apps.incidents.models import Incident

S = IncidentState

TABLE: dict[IncidentState, frozenset[IncidentState]] = {S.OPEN: frozenset({S.RESOLVED}), S.RESOLVED: frozenset()}
KINDS: dict[IncidentState, str] = {S.RESOLVED: "incident.resolved"}
WHEN: dict[IncidentState, str] = {
    S.OPEN: "a person declared it",
    S.RESOLVED: "a person said what resolved it; what comes back is another incident",
}


class IncidentOver(Conflict):
    code = "incident_over"


def advance(incident: Incident, to: IncidentState, **values: object) -> str:
    """This function will bring a locked incident to a state, set `values` with it, and return the kind of the event.

    Raises IncidentOver: its state does not lead there, or somebody else was quicker.
    """
    before = IncidentState(incident.state)
    changed = to in TABLE[before] and Incident.objects.filter(pk=incident.pk, state=before).update(state=to, **values)
    if not changed:
        raise IncidentOver(f"Incident {incident} is {before.label.lower()} already.")
    for name, value in {"state": to, **values}.items():
        setattr(incident, name, value)
    return KINDS[to]
