"""What executors have in common that ask a service elsewhere to deploy, and then look how far it is (ADR 0062).

A subclass says how to look, to start and to stop; here is everything that makes it safe: fences, one start for each
attempt, also when the answer to it was lost, and what a lost worker leaves to the next one.
"""

from apps.deployments.executors.remote.executor import RemoteExecutor
from apps.deployments.executors.remote.seen import Clocks, Phase, RemoteStep, Seen

__all__ = ["Clocks", "Phase", "RemoteExecutor", "RemoteStep", "Seen"]
