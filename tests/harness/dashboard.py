"""A client of `respool.v1`, as a user would write one: `websockets`, unmodified, and what each generation was said to be."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.harness.client import Frame

SECONDS = 20.0
Said = dict[str, Any]


class Dashboard:
    """What came over one connection. `seen`: the events of each generation, those of the connection too; `stopped`: how each
    has stopped; `errors` and `records`: other answers, in their order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: dict[str, list[Frame]] = {}
        self.stopped: dict[str, Said] = {}
        self.errors: list[Said] = []
        self.records: list[Said] = []

    def ask(self, type_: str, id_: str, **more: object) -> None:
        self.socket.send(json.dumps({"type": type_, "generation": id_, **more}))

    def follow(self, id_: str, after: str | None = None, **more: object) -> None:
        self.ask("follow", id_, **({"after": after} if after else {}), **more)

    def hear(self) -> Said:
        """The next message. Raises ConnectionClosed, TimeoutError."""
        text = self.socket.recv(SECONDS)
        assert isinstance(text, str)
        said: Said = json.loads(text)
        id_ = said.get("generation", "")
        if "event" in said:
            self.seen.setdefault(id_, []).append(Frame(said.get("id"), said["event"]))
        elif "stopped" in said:
            self.stopped[id_] = said["stopped"]
        elif "error" in said:
            self.errors.append(said)
        else:
            self.records.append(said["record"])
        return said

    def hear_all(self) -> None:
        """Until the connection is closed. Raises ConnectionClosed."""
        while True:
            self.hear()

    def until_stopped(self, *ids: str) -> None:
        while not set(ids) <= set(self.stopped):
            self.hear()

    def until_seen(self, id_: str, count: int) -> None:
        while len(self.seen.get(id_, ())) < count:
            self.hear()

    def error(self) -> Said:
        """The next answer that is one."""
        count = len(self.errors)
        while len(self.errors) == count:
            self.hear()
        found: Said = self.errors[-1]["error"]
        return found


@contextmanager
def dashboard(url: str, *, offers: Sequence[str] = (), query: str = "", **options: Any) -> Iterator[Dashboard]:
    """Connects to the API at this base URL. Raises InvalidStatus if it is refused. `offers`: subprotocols besides ours."""
    subprotocols = [Subprotocol(each) for each in ("respool.v1", *offers)]
    target = f"{url.replace('http', 'ws', 1)}/v1/ws{query}"
    with connect(target, subprotocols=subprotocols, open_timeout=SECONDS, max_size=None, **options) as socket:
        assert socket.subprotocol == "respool.v1"
        assert "Sec-WebSocket-Extensions" not in (socket.response.headers if socket.response else ())
        yield Dashboard(socket)
