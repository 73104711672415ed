"""One process for both halves: live streams on the event loop, pages under WSGI in threads.

Django's own ASGI handler costs two to three times the processor time per page (design, stack section 4), so pages
never pass through it.
"""

from typing import Any

from a2wsgi import WSGIMiddleware
from django.conf import settings

from eaip.wsgi import application as pages

pages_in_threads = WSGIMiddleware(pages, workers=settings.WEB_THREADS)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await pages_in_threads(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
