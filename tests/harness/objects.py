"""An object store for a test: as much of S3's protocol as an archive speaks, and what a test may do to it."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET: Final = "bucket"
_WAITS: Final = 30.0


class ObjectStore:
    """Use it as a context. `environment` is what a process needs to find it, `url` its archive. `objects` are the bytes of each
    key of the bucket; a test may change them."""

    def __init__(self, prefix: str = "logs") -> None:
        self.url = f"s3://{BUCKET}/{prefix}"
        self.prefix = prefix
        self.objects: dict[str, bytes] = {}
        self.written: dict[str, datetime] = {}
        self.asked: list[tuple[str, str]] = []
        """Method and key of each request, in order."""
        self.away = False
        """Answers everything with 503."""
        self.forgets = False
        """Answers a PUT as if it had kept what it was sent."""
        self._held: str | None = None
        self._arrived, self._released = threading.Event(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    @property
    def logs(self) -> list[str]:
        """Names of generations' objects."""
        return [key for key in self.objects if "/gen_" in key]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def was_asked(self, method: str, id_: str) -> bool:
        """Whether a request for an object of this generation has come."""
        return any(how == method and id_ in key for how, key in self.asked)

    @contextmanager
    def held(self, method: str) -> Iterator[threading.Event]:
        """Requests for generations' objects by this method are not answered; the event says that one has come."""
        self._arrived.clear()
        self._released.clear()
        self._held = method
        try:
            yield self._arrived
        finally:
            self._held = None
            self._released.set()

    def hold(self, method: str, key: str) -> None:
        if method == self._held and "/gen_" in key:
            self._arrived.set()
            self._released.wait(_WAITS)


def _handler(store: ObjectStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one write

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # who asked is dead
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _asked(self) -> tuple[str, dict[str, list[str]], bytes] | None:
            """The key, the query and the body; None if it was answered already."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = urlsplit(self.path)
            key = unquote(target.path).removeprefix(f"/{BUCKET}").removeprefix("/")
            store.asked.append((self.command, key))
            if store.away:
                self._answer(503)
                return None
            store.hold(self.command, key)
            return key, parse_qs(target.query, keep_blank_values=True), body

        def do_PUT(self) -> None:
            if (asked := self._asked()) is not None:
                key, _, body = asked
                if not store.forgets:
                    store.objects[key], store.written[key] = body, datetime.now(UTC)
                self._answer(200, ETag=_etag(body))

        def do_GET(self) -> None:
            if (asked := self._asked()) is None:
                return
            key, query, _ = asked
            if "list-type" in query:
                self._answer(200, _listing(store, query["prefix"][0]), Content_Type="application/xml")
            elif key in store.objects:
                self._answer(200, store.objects[key], **_meta(store, key))
            else:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def do_HEAD(self) -> None:
            if (asked := self._asked()) is not None:
                key = asked[0]
                if key in store.objects:
                    self._answer(200, b"", Content_Length=str(len(store.objects[key])), **_meta(store, key))
                else:
                    self._answer(404)

        def do_DELETE(self) -> None:
            if (asked := self._asked()) is not None:
                store.objects.pop(asked[0], None)
                self._answer(204)

        def do_POST(self) -> None:
            if (asked := self._asked()) is not None:
                keys = re.findall(r"<Key>([^<]+)</Key>", asked[2].decode())
                for key in keys:
                    store.objects.pop(key, None)
                rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
                self._answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode(), Content_Type="application/xml")

    return Handler


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()}"'


def _meta(store: ObjectStore, key: str) -> dict[str, str]:
    return {
        "ETag": _etag(store.objects[key]),
        "Last_Modified": format_datetime(store.written[key], usegmt=True),
    }


def _listing(store: ObjectStore, prefix: str) -> bytes:
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size><ETag>{escape(_etag(body))}</ETag>"
        f"<LastModified>{store.written[key].strftime('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified></Contents>"
        for key, body in sorted(store.objects.items())
        if key.startswith(prefix)
    )
    return f"<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
