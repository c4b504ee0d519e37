"""Our server, with generations that are followed in one vocabulary each."""

from contextlib import closing
from typing import NamedTuple

import httpx2

from broker.ids import EntryId
from tests.bench import feed
from tests.bench.servers import Respool
from tests.bench.vocabularies import Vocabulary


class Followed(NamedTuple):
    """A running generation, how it is followed, and the Idempotency-Key with which it was made, if it was by a POST."""

    vocabulary: Vocabulary
    generation: feed.Claimed
    key: str

    @property
    def path(self) -> str:
        """From its beginning, as the load client has it."""
        spoken = self.vocabulary
        if spoken.path is None:
            return f"POST {self.key} {spoken.posts} {spoken.body}"
        return self._place + spoken.first

    def request(self, after: EntryId) -> bytes:
        """Of HTTP, of who comes back behind an entry."""
        spoken = self.vocabulary
        assert spoken.behind is not None
        cursor, head = spoken.behind(after), "Host: 127.0.0.1\r\nConnection: close\r\nAccept: text/event-stream\r\n"
        if spoken.path is not None:
            if spoken.by_head:
                cursor, head = "", f"{head}Last-Event-ID: {cursor}\r\n"
            return f"GET {self._place}{cursor} HTTP/1.1\r\n{head}\r\n".encode()
        head += f"Idempotency-Key: {self.key}\r\nLast-Event-ID: {cursor}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(spoken.body)}\r\n"
        return f"POST {spoken.posts} HTTP/1.1\r\n{head}\r\n{spoken.body}".encode()

    @property
    def _place(self) -> str:
        assert self.vocabulary.path is not None
        return self.vocabulary.path(self.generation.id).replace("{key}", self.key)


class Spoken(Respool):
    """Has generations that are followed in a vocabulary each."""

    name = "respool, in its vocabularies"

    def made(self, vocabulary: Vocabulary, key: str) -> Followed:
        """A new one, in which a block of text is open."""
        if vocabulary.posts:
            generation = feed.run(self.url, self._posted(vocabulary, key))
        else:
            (generation,) = feed.claim(self.url, 1)
        feed.open_block(self.url, generation)
        return Followed(vocabulary, generation, key)

    def _posted(self, vocabulary: Vocabulary, key: str) -> str:
        """The id of what a POST makes: repeats of it follow that."""
        headers = {"content-type": "application/json", "idempotency-key": key}
        url = f"http://127.0.0.1:{self.port}{vocabulary.posts.replace('{key}', key)}"
        with (
            closing(httpx2.Client(timeout=20)) as client,
            client.stream("POST", url, content=vocabulary.body.encode(), headers=headers) as answer,
        ):
            assert answer.status_code == 200, f"{vocabulary.name}: {answer.status_code} {answer.read()[:300]!r}"
            name = "respool-generation" if "respool-generation" in answer.headers else "generation-id"
            return str(answer.headers[name])

    def begin_anew(self) -> None:
        """A new process, that has read no log."""
        self._api.kill()
        self._api.start()
        self._await_ready()
