"""The answer to "may this be done now?", and the refusals that carry it to the person who asked."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why not: a stable code for programs and tests, a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Truthy when allowed; otherwise carries at least one reason. Buttons and actions ask for the same one."""

    reasons: tuple[Reason, ...] = ()

    def __bool__(self) -> bool:
        return not self.reasons

    @property
    def sentence(self) -> str:
        return " ".join(reason.sentence for reason in self.reasons)

    def require(self) -> None:
        """Raises Denied: when the verdict is no."""
        if self.reasons:
            raise Denied(self.sentence, code=self.reasons[0].code)


ALLOWED = Verdict()


def refused(code: str, sentence: str) -> Verdict:
    return Verdict((Reason(code, sentence),))


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    return Verdict(tuple(reason for verdict in verdicts for reason in verdict.reasons))


class Refusal(Exception):
    """An action did not happen and changed nothing. `str()` is a sentence for people, `code` is for programs."""

    status = 400
    code = "refused"
    safe = "Nothing was changed."
    next_step = ""

    def __init__(self, sentence: str, *, code: str = "", safe: str = "", next_step: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.code
        self.safe = safe or self.safe
        self.next_step = next_step or self.next_step


class Denied(Refusal):
    """The person may see the object, but not do this."""

    status = 403
    code = "denied"


class Conflict(Refusal):
    """The object is not (or no longer) in a state that allows this."""

    status = 409
    code = "conflict"
    next_step = "Reload the page to see how it stands now."


class Invalid(Refusal):
    """The input can't be accepted as it is."""

    status = 422
    code = "invalid"
