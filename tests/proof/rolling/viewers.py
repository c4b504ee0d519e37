"""A Service and those who go through it: viewers as a browser's EventSource is, and somebody who submits all the time."""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

import httpx2

from tests.harness.client import Client, Frame, frames

_RETRY = re.compile(rb"^retry: (\d+)$", re.MULTILINE)
_PAUSE_SECONDS = 2.0
"""Before an EventSource comes back that was told nothing else."""
_EVERY_SECONDS = 0.2
_TINY = "sim-1?ttft_ms=0&tps=0&tokens=1"


class Service:
    """The APIs that connections are spread over, in turn."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._urls = list(urls)

    def add(self, url: str) -> None:
        with self._lock:
            self._urls.append(url)

    def remove(self, url: str) -> None:
        with self._lock:
            self._urls.remove(url)

    def next(self) -> str:
        with self._lock:
            self._urls.append(self._urls.pop(0))
            return self._urls[-1]


class Viewer(threading.Thread):
    """Follows a generation to its end. When its stream is cut it comes back after as long as it was told to wait, with its last
    id; an answer that is not a stream makes it give up for ever, and is a fault."""

    def __init__(self, service: Service, id_: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, Frame]] = []
        self.faults: list[str] = []
        self._service = service
        self._id = id_
        self._pause = _PAUSE_SECONDS
        self.start()

    @property
    def frames(self) -> list[Frame]:
        return [frame for _, frame in list(self.seen)]

    @property
    def ended(self) -> bool:
        return bool(self.seen) and self.seen[-1][1].type in ("stream_end", "error")

    def run(self) -> None:
        while not self.ended and not self.faults:
            client = Client(self._service.next())
            try:
                self._follow(client)
            except httpx2.TransportError:
                time.sleep(self._pause)
            except AssertionError as error:
                self.faults.append(repr(error))
            finally:
                client.http.close()

    def _follow(self, client: Client) -> None:
        cursor = next((frame.id for frame in reversed(self.frames) if frame.id), None)
        headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
        with client.http.stream("GET", f"/v1/generations/{self._id}/events", headers=headers) as response:
            assert response.status_code == 200, response.status_code
            for frame in frames(self._noting(response.iter_bytes())):
                self.seen.append((time.monotonic(), frame))
        assert self.ended, "a clean end of the stream before the generation's"

    def _noting(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if told := _RETRY.findall(chunk):
                self._pause = int(told[-1]) / 1000
            yield chunk

    def silence(self, begin: float, end: float) -> float:
        """The longest time in this window in which it got nothing, seconds."""
        times = [begin, *(at for at, _ in list(self.seen) if begin < at < end), end]
        return max(later - earlier for earlier, later in pairwise(times))


class Submitter(threading.Thread):
    """Submits something tiny a few times a second, over a connection of its own each time; `refused` says what went wrong."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self._service = service
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            client = Client(self._service.next())
            try:
                self.accepted.append(client.submit(_TINY).id)
            except (httpx2.TransportError, AssertionError) as error:
                self.refused.append(repr(error))
            finally:
                client.http.close()

    def stop(self) -> None:
        self._over.set()
        self.join(30)
