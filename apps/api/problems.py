"""Refusals that only programs meet; told as problem documents (RFC 9457) like all others."""

from datetime import timedelta

from apps.core.verdict import Invalid, Refusal

BODY_LIMIT = 1_000_000


class NotAuthenticated(Refusal):
    """Says the same whatever was wrong: a wrong token and an expired one look alike from outside."""

    status = 401
    code = "not_authenticated"


class ScraperRefused(NotAuthenticated):
    """A program that asks again every few seconds; the metrics count each time."""

    told_every = timedelta(minutes=1)


class BodyTooLarge(Refusal):
    status = 413
    code = "body_too_large"


class WrongMediaType(Refusal):
    status = 415
    code = "wrong_media_type"


class BodyUnreadable(Refusal):
    status = 400
    code = "body_unreadable"


class PushStale(Refusal):
    status = 400
    code = "push_stale"


class FieldInvalid(Invalid):
    code = "field_invalid"


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    next_step = "Use a new key for a new request."


class UnknownService(Refusal):
    status = 404
    code = "unknown_service"


class UnknownRelease(Refusal):
    status = 404
    code = "unknown_release"


class UnknownDeployment(Refusal):
    status = 404
    code = "unknown_deployment"


class UnknownEvent(Refusal):
    status = 404
    code = "unknown_event"


class UnknownEnvironment(Refusal):
    status = 404
    code = "unknown_environment"


class UnknownExport(Refusal):
    status = 404
    code = "unknown_export"
