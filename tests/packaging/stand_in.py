"""Stand-ins for the parts that `make up` starts: `python -m tests.packaging.stand_in api|worker|simulator [--port P]`.

They do as little as the launcher can see: listen, say what they were given, beat once, end on SIGTERM. A part named in STUBBORN
does not listen to SIGTERM; one named in BROKEN ends at once.
"""

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import redis

from broker import keys

SHOWN = ("RESPOOL_REDIS_URL", "RESPOOL_CORS_ORIGINS", "RESPOOL_PORT", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")


class Ready(BaseHTTPRequestHandler):
    """Answers everything with 200 and nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing about requests."""


def main(name: str, arguments: list[str]) -> None:
    if name == os.environ.get("BROKEN"):
        sys.exit(f"{name} cannot live like this")

    def end(number: int, _frame: object) -> None:
        if name != os.environ.get("STUBBORN"):
            print(f"{name} ends", flush=True)
            sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print(f"{name} was given", *(f"{key}={os.environ[key]}" for key in SHOWN if key in os.environ), flush=True)
    if name == "worker":
        with redis.Redis.from_url(os.environ["RESPOOL_REDIS_URL"]) as client:
            client.set(keys.worker(socket.gethostname()), "1", px=keys.HEARTBEAT_MS)
    port = {"api": os.environ["RESPOOL_PORT"], "worker": "0"}.get(name) or arguments[1]
    HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
