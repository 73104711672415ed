"""A server whose stream does what a test tells it to: the far side of the page's script, misbehaving on purpose."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.template import engines
from django.test import RequestFactory

PAGE = """{% extends "base.html" %}{% block title %}Live{% endblock %}{% block main %}
<h1>Live</h1>
<section id="region" hx-sse:connect="/stream" hx-swap="innerMorph" hx-sse:close="done" data-poll="/region">
  <p id="value">first</p></section>
<form method="post" action="/post" hx-post="/post" hx-target="#answer" hx-swap="innerHTML"><button>Send</button></form>
<p id="answer"></p>
<button type="button" commandfor="ask" command="show-modal">Ask</button>
<dialog class="dlg" id="ask" aria-label="Ask"><form method="post" action="/post" hx-post="/post" hx-target="#answer">
  <label>Reason <input name="reason"></label><button>Do it</button></form></dialog>
<button class="js-only" type="button" data-toggle="follow" aria-controls="log" aria-pressed="true">Follow</button>
<div class="log" id="log" role="log" aria-live="off" tabindex="0" aria-label="Log"><ol id="lines"></ol></div>
{% endblock %}"""


class StreamServer:
    def __init__(self) -> None:
        self.events: queue.Queue[str | None] = queue.Queue()  # None ends the stream
        self.stream_status = 200
        self.post_status = 200
        self.post_body = "<p>answered</p>"
        self.post_headers: dict[str, str] = {}
        self.region = '<p id="value">polled</p>'
        self.connects: list[str] = []  # Last-Event-ID of each
        self.polls = 0
        self.posts = 0
        self.release_posts = threading.Event()
        self.closing = False

    def send(self, html: str, *, event: str = "", id: str = "") -> None:
        lines = [f"event: {event}"] * bool(event) + [f"id: {id}"] * bool(id)
        self.events.put("\n".join([*lines, f"data: {html}"]) + "\n\n")

    def page(self) -> str:
        request = RequestFactory().get("/")
        request.user, request._messages = AnonymousUser(), []
        return engines["django"].from_string(PAGE).render(None, request)


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def log_message(self, *_: object) -> None:
        pass

    def answer(
        self, status: int, body: bytes, kind: str = "text/html; charset=utf-8", *, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        state = self.server.state
        if self.path.startswith("/static/"):
            path = Path(settings.STATIC_ROOT) / self.path.removeprefix("/static/").replace("%40", "@")
            self.answer(200, path.read_bytes(), guess_type(path.name)[0] or "application/octet-stream")
        elif self.path == "/stream":
            self.stream(state)
        elif self.path == "/region":
            state.polls += 1
            self.answer(200, state.region.encode())
        else:
            self.answer(200, state.page().encode())

    def do_POST(self) -> None:
        state = self.server.state
        state.posts += 1
        state.release_posts.wait(10)
        self.answer(state.post_status, state.post_body.encode(), headers=state.post_headers)

    def stream(self, state: StreamServer) -> None:
        state.connects.append(self.headers.get("Last-Event-ID", ""))
        if state.stream_status != 200:
            self.answer(state.stream_status, b"<p>never shown</p>")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while not state.closing:
            with suppress(queue.Empty):
                if (event := state.events.get(timeout=0.2)) is None:
                    return
                self.wfile.write(event.encode())
                self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state = StreamServer()


@contextmanager
def running() -> Iterator[tuple[StreamServer, str]]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.state, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.state.closing = True
            server.state.release_posts.set()
            server.shutdown()
            thread.join()
