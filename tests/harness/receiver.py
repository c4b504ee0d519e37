"""A receiver of webhooks, as a user would run one: it keeps what it was sent, and answers as it is told to."""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes, or").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the secret of last month").decode()


@dataclass(frozen=True, slots=True)
class Received:
    """One request: what was sent, and whether its signature is right by the library."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def told(self, secret: str = SECRET) -> dict[str, Any]:
        """The body, checked. Raises WebhookVerificationError."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


Reaction = int | tuple[int, dict[str, str]] | Callable[[], int]
"""A status, with headers, or what is called to find one."""


@dataclass
class Receiver:
    """Use it as a context. `reactions`: by path, what its requests are answered with, one after the other, then with the last;
    with 204 elsewhere."""

    reactions: dict[str, Sequence[Reaction]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.take(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        """What came for this path so far."""
        with self._lock:
            return [each for each in self.received if each.path == path]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.received.append(Received(handler.path, headers, body))
            number = sum(each.path == handler.path for each in self.received) - 1
        known = self.reactions.get(handler.path, (204,))
        reaction = known[min(number, len(known) - 1)]
        status, more = reaction if isinstance(reaction, tuple) else (reaction, {})
        if callable(status):
            status = status()
        try:
            handler.send_response(status)
            for name, value in {"content-length": "0", **more}.items():
                handler.send_header(name, value)
            handler.end_headers()
        except OSError:
            pass  # whoever asked was killed meanwhile
