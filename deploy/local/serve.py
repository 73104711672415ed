"""Runs one program in one slot: reads what the executor left for it and serves the program on the slot's unix socket.

Started by the Python of the release's own environment, so it may use only the standard library and what the release
brings. Each program has an adapter in `programs/`: a function `application(data, configuration)`.
"""

import importlib.metadata
import json
import os
import runpy
import socketserver
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

THREADS = 4


def main(program_file: str) -> None:
    program = json.loads(Path(program_file).read_text())
    configuration = json.loads(Path(program["configuration"]).read_text())
    adapter = runpy.run_path(str(Path(__file__).with_name("programs") / f"{program['program']}.py"))
    installed = importlib.metadata.version(program["program"])
    if installed != program["wheel"]:
        sys.exit(f"{program['program']} {installed} is installed, {program['wheel']} was to be started")
    os.umask(0o077)
    application = named(adapter["application"](Path(program["data"]), configuration), program["version"])
    print(f"{program['program']} {installed} starts to listen", flush=True)
    serve(application, program["socket"])


def named(application, version):
    """Let every answer say which version gave it: the executor compares that with what it deployed."""

    def with_version(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Release", version)], exc_info)

        return application(environ, start)

    return with_version


def serve(application, path):
    try:
        import waitress
    except ImportError:
        serve_plainly(application, path)
    else:
        waitress.serve(application, unix_socket=path, unix_socket_perms="600", threads=THREADS, ident=None)


class UnixServer(socketserver.ThreadingMixIn, WSGIServer):
    address_family = socketserver.UnixStreamServer.address_family
    daemon_threads = True
    request_queue_size = 128

    def get_request(self):
        connection, _nameless = super().get_request()
        return connection, ("proxy", 0)

    def server_bind(self):
        Path(self.server_address).unlink(missing_ok=True)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 80
        self.setup_environ()


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def serve_plainly(application, path):
    with UnixServer(path, QuietHandler) as server:
        server.set_app(application)
        threading.current_thread().name = "server"
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main(sys.argv[1])
