"""What a workspace may have asked: the ports that are open to all, and networks that the installation gave to it."""

from django.conf import settings

from apps.health.enums import KIND_OF
from apps.integrations import outbound_addresses as addresses


def policy_of(workspace_slug: str) -> addresses.Policy:
    """This function will return what the settings let this workspace reach."""
    words = settings.OUTBOUND_INTERNAL.get(workspace_slug, "")
    return addresses.Policy(frozenset(settings.OUTBOUND_PORTS), addresses.inside(filter(None, words.split("+"))))


def judge(url: str, workspace_slug: str) -> None:
    """This function will say what can be said before a name is looked up. Raises NotAllowed: never to be asked."""
    addresses.judge(destination_of(url), policy_of(workspace_slug))


def is_name(url: str) -> bool:
    """This function will say whether only a resolver knows where the address leads, each time it is asked."""
    return destination_of(url).address is None


def destination_of(url: str) -> addresses.Destination:
    """This function will read the address of a check. Raises NotAllowed: with what is wrong with it."""
    return addresses.read(url, schemes=KIND_OF)
