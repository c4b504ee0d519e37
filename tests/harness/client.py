"""A plain client of the wire protocol, as a user would write one: httpx2 and a few lines that read frames."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx2

SECONDS = 20.0


@dataclass(frozen=True)
class Frame:
    """One event. `id` is None for those that are about the connection itself."""

    id: str | None
    data: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.data["type"])


@dataclass(frozen=True)
class Generation:
    """What a submit returned. `user_id` finds the upstream's own record of it."""

    id: str
    user_id: str
    record: dict[str, Any]


def parse(block: str) -> Frame | None:
    """One block of a stream, the text before a blank line; None for one without data. Only LF ends a line. In the chat form the
    id is in the JSON."""
    data, id_ = [], None
    for line in block.split("\n"):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("id:"):
            id_ = line[3:].removeprefix(" ")
    if not data or data == ["[DONE]"]:
        return None
    said = json.loads("\n".join(data))
    return Frame(said.pop("id", None) if id_ is None else id_, said)


def frames(chunks: Iterator[bytes]) -> Iterator[Frame]:
    """Frames as they are complete; the rest of a block that was cut is dropped, as a client must."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while b"\n\n" in buffer:
            block, _, buffer = buffer.partition(b"\n\n")
            if (frame := parse(block.decode())) is not None:
                yield frame


class Client:
    """Talks to one API."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Of plain HTTP: to read all certificates that a machine trusts takes 20 ms.
        self.http = httpx2.Client(base_url=url, timeout=SECONDS, verify=False)

    def submit(self, model: str, prompt: str = "Tell me something.", *, headers: dict[str, str] | None = None,
               **fields: Any) -> Generation:  # fmt: skip
        """Submits a generation whose upstream calls carry a user id of its own."""
        user_id = f"user-{uuid.uuid4()}"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "metadata": {"user_id": user_id},
            **fields,
        }
        response = self.http.post("/v1/generations", json=body, headers=headers or {})
        assert response.status_code == 202, response.text
        return Generation(response.json()["id"], user_id, response.json())

    @contextmanager
    def stream(self, id_: str, cursor: str | None = None, **query: str) -> Iterator[Iterator[Frame]]:
        """An open event stream."""
        headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
        with self.http.stream("GET", f"/v1/generations/{id_}/events", headers=headers, params=query) as response:
            assert response.status_code == 200, (response.status_code, response.read())
            yield frames(response.iter_bytes())

    def events(self, id_: str, cursor: str | None = None, **query: str) -> list[Frame]:
        """All frames to a clean end. Raises httpx2.RemoteProtocolError if the stream was cut."""
        with self.stream(id_, cursor, **query) as events:
            return list(events)

    def record(self, id_: str) -> dict[str, Any]:
        response = self.http.get(f"/v1/generations/{id_}")
        assert response.status_code == 200, response.text
        record: dict[str, Any] = response.json()
        return record

    def cancel(self, id_: str) -> httpx2.Response:
        return self.http.post(f"/v1/generations/{id_}/cancel")


def text_of(events: list[Frame]) -> str:
    """What a reader shows who appends every `text` and heeds `stream_start`, where nothing of the text is dropped but by a
    restart."""
    text = ""
    for frame in events:
        if frame.type == "stream_start" and frame.data["keep_blocks"] == 0:
            text = ""
        elif frame.type in ("text", "snapshot"):
            text = (text if frame.type == "text" else "") + frame.data["text"]
    return text


def check_log(events: list[Frame]) -> None:
    """Fails unless these frames are a whole log: ids rise, `seq` has no hole, each attempt begins at 0 with
    `stream_start`, one terminal event is last."""
    logged = [frame for frame in events if frame.id is not None]
    ids = [tuple(map(int, str(frame.id).split("-"))) for frame in logged]
    assert ids == sorted(set(ids))
    for (attempt, seq), (next_attempt, next_seq) in pairwise(ids):
        assert next_seq == seq + 1 if next_attempt == attempt else next_seq == 0
    assert ids[0][1] == 0
    terminal = [frame.type in ("stream_end", "error") for frame in logged]
    assert terminal == [False] * (len(logged) - 1) + [True]
