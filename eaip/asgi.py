"""Each process serves both halves: live streams on the event loop, pages under WSGI in threads.

Django's own ASGI handler costs two to three times the processor time per page, measured here, so pages
never pass through it. A larger installation serves `eaip.wsgi` and this module as two services behind one host.
"""

import gc
import time
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.urls import get_resolver

from eaip.wsgi import application as pages, writer  # isort: skip  (first, because it sets Django up)
from apps.core import tracing
from eaip.live.endpoint import Endpoint
from eaip.middleware import ARRIVED

pages_in_threads: Any = WSGIMiddleware(cast(Any, pages), workers=settings.WEB_THREADS)
live = Endpoint()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(("/live/", "/poll/")):
        await live(scope, receive, send)
    elif scope["type"] == "http":
        scope[ARRIVED] = time.monotonic()
        await pages_in_threads(scope, receive, send)


def _settle() -> None:
    """Load all code now and take it out of the garbage collector's way: going through it costs a page up to 40 ms."""
    get_resolver().url_patterns  # noqa: B018
    gc.collect()
    gc.freeze()


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            live.start()
            _settle()
            await send({"type": "lifespan.startup.complete"})
        else:
            live.stop()
            writer.stop()
            tracing.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
