"""Says hello over HTTP."""

GREETING = "Hello"


def application(configuration):
    greeting = configuration.get("greeting", GREETING)

    def greet(environ):
        return "200 OK", f"{greeting}!"

    def health(environ):
        return "200 OK", "ok"

    pages = {"/": greet, "/health": health}

    def answer(environ, start_response):
        status, text = pages[environ["PATH_INFO"]](environ)
        body = f"{text}\n".encode()
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return answer
