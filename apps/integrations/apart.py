"""Coroutines for code that is none: the thread that asks may have a running loop, which bears no second one."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def run_apart(asking: Coroutine[Any, Any, Answer]) -> Answer:
    """This function will run a coroutine to its end in a thread of its own, and return or raise what it does."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(asyncio.run, asking).result()
