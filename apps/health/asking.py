"""Asks the address of an endpoint check, and says what the answer means. Never raises for what the other side does."""

import re
from datetime import datetime

from apps.environments.enums import Health
from apps.health import reach
from apps.health.endpoints import Finding
from apps.health.enums import CheckKind
from apps.health.models import EndpointCheck
from apps.integrations import outbound
from apps.integrations.outbound import NoAnswer, Resolver, system_resolver
from apps.integrations.outbound_addresses import Destination, NotAllowed, Policy

VERSION = re.compile(r"[0-9A-Za-z.+-]{1,60}")


async def ask(
    check: EndpointCheck, lease: datetime, policy: Policy, *, resolver: Resolver = system_resolver
) -> Finding:
    """This function will ask once. Shapes: the finding has no status where none was asked for or none came."""
    try:
        destination, seconds = reach.destination_of(check.url), float(check.timeout_seconds)
        if check.kind == CheckKind.TCP:
            latency = await outbound.reach(destination, policy, seconds=seconds, resolver=resolver)
            return Finding(check.pk, lease, Health.HEALTHY, None, latency, f"Connected in {latency:.0f} ms")
        if check.kind == CheckKind.TLS:
            shown = await outbound.certificate(destination, policy, seconds=seconds, resolver=resolver)
            lowest = await _lowest_tls(destination, policy, shown.tls, seconds=seconds, resolver=resolver)
            days = shown.days_left
            verdict = Health.HEALTHY if days >= check.days_left else Health.FAULTY
            told = f"Certificate good for {days} days" + (f", TLS {lowest} at the lowest" if lowest else "")
            return Finding(check.pk, lease, verdict, None, shown.milliseconds, told, tls=lowest)
        answer = await outbound.get(destination, policy, seconds=seconds, resolver=resolver)
    except NotAllowed as error:
        return Finding(check.pk, lease, Health.FAULTY, None, None, f"Not asked: {error}")
    except NoAnswer as error:
        return Finding(check.pk, lease, Health.FAULTY, None, None, str(error))
    detail = f"{answer.status} in {answer.milliseconds:.0f} ms"
    if answer.status != check.expected_status:
        detail += f", expected {check.expected_status}"
        return Finding(check.pk, lease, Health.FAULTY, answer.status, answer.milliseconds, detail)
    version = answer.headers.get("x-release", "")
    if not VERSION.fullmatch(version):
        version = ""
    return Finding(check.pk, lease, Health.HEALTHY, answer.status, answer.milliseconds, detail, version)


async def _lowest_tls(
    destination: Destination, policy: Policy, spoken: str, *, seconds: float, resolver: Resolver
) -> str:
    """Return the lowest version that is taken, "" where that can't be told: the certificate is good all the same."""
    try:
        return await outbound.lowest_tls(destination, policy, spoken=spoken, seconds=seconds, resolver=resolver)
    except NoAnswer:
        return ""
