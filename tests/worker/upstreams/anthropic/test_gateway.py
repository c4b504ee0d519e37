"""An upstream, or a gateway before it, that says what nobody should hear, or sends the request elsewhere."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.harness.client import Client
from tests.harness.stack import Stack

KEY = "sk-ant-api03-CANARYCANARYCANARY"
INNER = "http://10.11.12.13:9090/v1"


class Gateway(BaseHTTPRequestHandler):
    """Answers by the model's name: a status. `asked` has the paths of all calls."""

    asked: list[str]

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        model = json.loads(self.rfile.read(length))["model"]
        self.asked.append(self.path)
        body = json.dumps(
            {"type": "error", "error": {"type": "x", "message": f"{KEY} refused by {INNER}: {model}"}}
        ).encode()
        self.send_response(int(model))
        self.send_header("location", "/elsewhere")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[ThreadingHTTPServer]:
    Gateway.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def stack(gateway: ThreadingHTTPServer) -> Iterator[Stack]:
    with Stack(upstream=f"http://127.0.0.1:{gateway.server_port}", upstream_tries=1, log_level="DEBUG") as stack:
        yield stack


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "upstream_invalid_request"), (401, "upstream_authentication"), (403, "upstream_permission"),
        (500, "upstream_error"), (502, "upstream_error"), (529, "upstream_overloaded"),
        (302, "upstream_redirected"), (307, "upstream_redirected"), (308, "upstream_redirected"),
    ],
)  # fmt: skip
def test_no_key_and_no_address_of_the_upstream_s_reaches_a_viewer_or_the_log(
    stack: Stack, status: int, code: str
) -> None:
    client: Client = stack.client()
    generation = client.submit(str(status))
    end = client.events(generation.id)[-1].data
    assert end["code"] == code
    for told in (json.dumps(end), json.dumps(client.record(generation.id)), stack.workers[0].log):
        assert KEY not in told
        assert "10.11.12.13" not in told
    assert ("refused by" in end["message"]) == (status == 400)  # what the submitter may mend is passed on


def test_no_redirect_is_followed_with_a_prompt(stack: Stack) -> None:
    client = stack.client()
    client.events(client.submit("308").id)
    assert set(Gateway.asked) == {"/v1/messages"}
