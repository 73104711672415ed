"""The rules about what a release promises to those who call it or read its events, beside what they are promised."""

from collections.abc import Iterator, Sequence

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.evidence import PIPELINE
from apps.policies.facts import ApiFacts, EventFacts, EventsFacts, Facts
from apps.policies.judgement import ENGINEERS, Judgement, listed, not_asked

NAMED = 3


def api(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """A major release may break callers; with `sunset`, what it takes away must have been announced, and be over."""
    if clause is None:
        return not_asked(policy, "that those who call the API are served on")
    release, beside = facts.release, facts.api
    if beside is None or release.order <= beside.order:
        return Judgement(Outcome.NOT_REQUIRED, _nobody_calls(facts, beside))
    is_major = release.order[0] > beside.order[0]
    if is_major and not clause.settings.get("sunset"):
        return _may_break(release.version, beside)
    if not (beside.is_described and beside.is_version_described):
        return _awaited(release.version, beside)
    if not beside.is_compared:
        return Judgement(Outcome.RUNNING, f"The API is being compared with that of {_live(beside)}.")
    return _kept_up(release.version, beside, facts) if is_major else _served_on(beside)


def events(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """Within a version each schema fits the lower ones; what Production publishes stays until it was dropped."""
    if clause is None:
        return not_asked(policy, "that consumers of events are served on")
    version, found = facts.release.version, facts.events
    if not found.is_listed:
        return _unlisted(version, found)
    if broken := [*_left_out(version, found), *_unfit(version, found)]:
        return Judgement(Outcome.FAILED, " ".join(broken), _worst(found), who=ENGINEERS)
    return _fits(version, found)


def _fits(version: str, found: EventsFacts) -> Judgement:
    published = _published(found)
    if running := [event.name for event in published if not event.is_checked]:
        return Judgement(Outcome.RUNNING, f"The schema of {_named(running)} is being checked beside the lower ones.")
    if unsure := [event.name for event in published if event.undecided]:
        sentence = (
            f"No rule decides whether the schema of {_named(unsure)} fits the lower ones. "
            "Asked: one without what is unclear, or a new major version of the event."
        )
        return Judgement(Outcome.INCONCLUSIVE, sentence, _worst(found), who=ENGINEERS)
    if not published:
        return Judgement(Outcome.PASSED, f"{version} publishes no events, and nobody waits for any.")
    count = f"Each of the {len(published):,} events" if len(published) > 1 else "The one event"
    return Judgement(Outcome.PASSED, f"{count} that {version} publishes fits the lower schemas.")


def _worst(found: EventsFacts) -> tuple[str, ...]:
    return tuple(f"{event.name}: {each}" for event in _published(found) for each in event.worst)


def _unlisted(version: str, found: EventsFacts) -> Judgement:
    if found.is_version_listed:
        sentence = f"There is no list of the events of {version}; {found.version}, which runs in Production, has one."
        return Judgement(Outcome.WAITING, sentence, who=PIPELINE)
    beside = f", and neither does {found.version}, which runs in Production" if found.version else ""
    return Judgement(Outcome.NOT_REQUIRED, f"{version} lists no events{beside}.")


def _published(found: EventsFacts) -> list[EventFacts]:
    return [event for event in found.events if event.new_minor is not None]


def _left_out(version: str, found: EventsFacts) -> Iterator[str]:
    """Say which versions are missing that Production publishes, and what would let them go."""
    gone = [each for each in found.events if each.new_minor is None and each.old_minor is not None]
    for event in gone:
        if event.is_dropped:
            continue
        if event.consumers:
            by = listed(event.consumers)
            yield f"{version} no longer publishes {event.name}, which is consumed by {by}."
        else:
            yield f"{version} no longer publishes {event.name}: drop that version first, so that nobody opts in to it."


def _unfit(version: str, found: EventsFacts) -> Iterator[str]:
    for event in _published(found):
        if event.old_minor is not None and event.new_minor is not None and event.new_minor < event.old_minor:
            runs = f"{event.name}.{event.old_minor}"
            yield f"{version} publishes {event.name}.{event.new_minor}; {runs} runs in Production already."
        if event.breaking:
            where = f": {event.worst[0]}" if event.worst else ""
            told = f"{_some(event.breaking, 'does not fit', 'do not fit')} the lower schemas{where}"
            yield f"In {event.name}.{event.new_minor} {told}. That needs a new major version of the event."


def _nobody_calls(facts: Facts, beside: ApiFacts | None) -> str:
    if beside is None:
        return f"{facts.service} runs in no Production yet: nobody calls it there."
    return f"{facts.release.version} is not higher than {_live(beside)}."


def _may_break(version: str, beside: ApiFacts) -> Judgement:
    told = f"{version} is a major release after {beside.version}, so it may break callers"
    if not beside.is_compared:
        return Judgement(Outcome.NOT_REQUIRED, f"{told}.")
    return Judgement(Outcome.PASSED, f"{told}: {_tally(beside)}.", beside.breaking_in)


def _awaited(version: str, beside: ApiFacts) -> Judgement:
    missing = [name for name, there in ((version, beside.is_described), (_live(beside), beside.is_version_described))
               if not there]  # fmt: skip
    sentence = f"There is no API description of {listed(missing)}. Asked: one of each, to compare them."
    return Judgement(Outcome.WAITING, sentence, who=PIPELINE)


def _served_on(beside: ApiFacts) -> Judgement:
    if beside.breaking:
        sentence = f"{_some(beside.breaking, 'breaks', 'break')} callers of {_live(beside)}"
        return Judgement(
            Outcome.FAILED,
            f"{sentence}: {_named(beside.breaking_in)}. Only a major release may do that.",
            beside.breaking_in,
            who=ENGINEERS,
        )
    if beside.undecided:
        return _undecided(beside)
    return Judgement(Outcome.PASSED, f"Callers of {_live(beside)}, are served on: {_tally(beside)}.")


def _undecided(beside: ApiFacts) -> Judgement:
    sentence = f"{_some(beside.undecided, 'needs', 'need')} a person, since no rule decides whom it breaks"
    return Judgement(
        Outcome.INCONCLUSIVE,
        f"{sentence}: {_named(beside.undecided_in)}. Asked: a description without it.",
        beside.undecided_in,
        who=ENGINEERS,
    )


def _kept_up(version: str, beside: ApiFacts, facts: Facts) -> Judgement:
    unannounced = [operation for operation, until in beside.removed if until is None]
    early = [(operation, until) for operation, until in beside.removed if until and until > facts.at.date()]
    if not unannounced and not early:
        return _may_break(version, beside) if beside.is_whole else _undecided(beside)
    sentence = f"{version} takes away {_named(unannounced)}, never announced to end (x-sunset)." if unannounced else ""
    if early:
        last = max(until for _, until in early)
        named = _named([operation for operation, _ in early])
        sentence = f"{sentence} {version} takes away {named}, promised to stay until {last:%Y-%m-%d}.".strip()
    evidence = tuple(f"{operation}: {until or 'never announced'}" for operation, until in beside.removed)
    return Judgement(Outcome.FAILED, sentence, evidence, who=ENGINEERS)


def _live(beside: ApiFacts) -> str:
    return f"{beside.version}, which runs in Production"


def _tally(beside: ApiFacts) -> str:
    counts = ((beside.breaking, "breaking"), (beside.undecided, "undecided"), (beside.compatible, "compatible"))
    told = [f"{count:,} {word}" for count, word in counts if count]
    return f"{listed(told)} changes" if told else "nothing differs"


def _some(count: int, one: str, many: str) -> str:
    return f"1 change {one}" if count == 1 else f"{count:,} changes {many}"


def _named(operations: Sequence[str]) -> str:
    return listed([*operations[:NAMED], *(["others"] if len(operations) > NAMED else [])] or ["somewhere"])
