"""An attempt in the hands of the worker that claimed it."""

from dataclasses import dataclass

from apps.deployments.engine.lease import Lease
from apps.deployments.executors.contract import Executor, Order
from apps.deployments.log import LogWriter
from apps.deployments.models import Deployment

BOLD, RED, YELLOW, GREEN, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


@dataclass
class Attempt:
    deployment: Deployment
    executor: Executor
    order: Order
    lease: Lease
    log: LogWriter
    doubt: str = ""
    """Why a person should look at it although it serves well: set by its verification."""

    def say(self, text: str, colour: str = BOLD) -> None:
        self.log.write(f"{colour}{text}{PLAIN}")
