"""What the greeter says, asked as a WSGI server asks it."""

import unittest

from greeter import application


def ask(path, query="", **configuration):
    statuses = []
    environ = {"PATH_INFO": path, "QUERY_STRING": query}
    body = b"".join(application(configuration)(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], body.decode().strip()


class GreeterTest(unittest.TestCase):
    def test_it_greets(self):
        assert ask("/") == ("200 OK", "Hello!")

    def test_it_greets_as_it_is_told(self):
        assert ask("/", greeting="Ahoy") == ("200 OK", "Ahoy!")

    def test_it_tells_that_it_can(self):
        assert ask("/health") == ("200 OK", "ok")
