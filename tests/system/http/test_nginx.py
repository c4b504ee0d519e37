"""Behind nginx, as the documentation configures it: nothing is held back, nothing is hidden, nothing is made up."""

import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.local.embedded import free_port
from tests.harness.client import Client, check_log, frames
from tests.harness.stack import until
from tests.system.http.certificate import Certificate
from tests.system.http.conftest import Server
from tests.system.http.proxy import Nginx, binary
from tests.system.http.wire import Address, Connection, Cut

LIVE = "sim-1?tps=40&tokens=5000&ttft_ms=0&seed=8"
SHORT = "sim-1?tps=200&tokens=40&ttft_ms=20&seed=5"
BODY = {"model": SHORT, "messages": [{"role": "user", "content": "Tell me."}]}
NOT_CLOSED_CLEANLY = 92
"""curl's exit code for a stream of HTTP/2."""
PROBLEM = "application/problem+json"


@pytest.fixture(params=["http", "https"])
def proxied(
    request: pytest.FixtureRequest, way: str, proxies: dict[str, Nginx], http_servers: dict[str, Server],
    certificate: Certificate,
) -> Server:  # fmt: skip
    """nginx's own address, and the API process behind it."""
    nginx, behind = proxies[way], http_servers[way]
    address = Address(nginx.port) if request.param == "http" else Address(nginx.tls_port, certificate.trusted)
    return Server(address, behind.api, behind.api_port)


def follow(connection: Connection, id_: str, tokens: int) -> bytes:
    """Opens the stream and reads so many tokens of it."""
    connection.ask(f"/v1/generations/{id_}/events")
    assert connection.head().headers["transfer-encoding"] == "chunked"
    received = b""
    for chunk in connection.chunks():
        received += chunk
        if received.count(b'"type":"text"') >= tokens:
            return received
    raise AssertionError("the generation is too short")


def test_tokens_pass_while_the_generation_runs(proxied: Server, client: Client) -> None:
    generation = client.submit(LIVE)
    with proxied.address.connect() as viewer:
        follow(viewer, generation.id, 1)
        assert client.record(generation.id)["state"] == "running", "buffered, they would come when it ends"
        client.cancel(generation.id)
        rest = b"".join(viewer.chunks())
    assert rest.count(b'"status":"cancelled"') == 1


def test_a_viewer_resumes_where_it_was_cut_on_a_connection_that_is_kept(proxied: Server, client: Client) -> None:
    generation = client.submit(SHORT)
    events = f"/v1/generations/{generation.id}/events"
    with proxied.address.connect() as viewer:
        whole = viewer.get(events).frames
        check_log(whole)
        cursors = [frame.id for frame in whole if frame.id]
        for at in (0, 20, len(cursors) - 2):
            resumed = viewer.get(events, last_event_id=cursors[at])
            assert [frame.id for frame in resumed.frames] == cursors[at + 1 :]
        assert viewer.get(events, last_event_id=cursors[-1]).status == 204
        record = viewer.get(f"/v1/generations/{generation.id}")
        assert record.json["last_event_id"] == cursors[-1]


def test_submits_pass_with_their_streams(proxied: Server) -> None:
    with proxied.address.connect() as connection:
        connection.ask("/v1/generations", "POST", BODY, accept="text/event-stream")
        submitted = connection.answer()
        check_log(submitted.frames)
        assert submitted.headers["location"] == f"/v1/generations/{submitted.headers['generation-id']}"
        connection.ask("/v1/chat/stream", "POST", BODY)
        assert connection.answer().body.endswith(b"\n\ndata: [DONE]\n\n")


def test_refusals_and_gaps_pass_unchanged(
    proxied: Server, http_servers: dict[str, Server], way: str, ended: str
) -> None:
    direct = http_servers[way].address
    unknown = "/v1/generations/gen_00000000000000000000000000"
    asked: list[tuple[str, str, object]] = [
        ("GET", unknown, None),
        ("GET", f"{unknown}/events", None),
        ("PUT", f"/v1/generations/{ended}", None),
        ("POST", f"/v1/generations/{ended}/cancel", None),
        ("POST", "/v1/generations", {"model": 1}),
        ("POST", "/v1/generations", {"model": "m" * 1_100_000}),
    ]
    for method, path, body in asked:
        with direct.connect() as here, proxied.address.connect() as there:
            here.ask(path, method, body)
            there.ask(path, method, body)
            own, passed = here.answer(), there.answer()
        assert passed.headers["content-type"] == PROBLEM
        assert (passed.status, passed.body) == (own.status, own.body)
    for cursor in ("1-1", "nonsense"):
        events = f"/v1/generations/{ended}/events"
        passed = proxied.address.get(events, last_event_id=cursor)
        assert passed.frames[0].type == "gap"
        assert passed.body == direct.get(events, last_event_id=cursor).body


def test_a_viewer_that_leaves_frees_the_one_of_the_api(proxied: Server, client: Client) -> None:
    generation = client.submit(LIVE)
    before = proxied.connections()
    with ExitStack() as viewers:
        for _ in range(10):
            follow(viewers.enter_context(proxied.address.connect()), generation.id, 1)
        until(lambda: proxied.connections() >= 10, "each has one of its own")
    until(lambda: proxied.connections() <= before, "nginx has closed what it had opened")
    client.cancel(generation.id)


def curl(nginx: Nginx, certificate: Certificate, path: str, *options: str) -> subprocess.Popen[bytes]:
    """curl, following a stream on HTTP/2; the version that was spoken and the status are written behind it."""
    url = f"https://localhost:{nginx.tls_port}{path}"
    command = ["curl", "-sSN", "--http2", "--noproxy", "*", "--cacert", str(certificate.certificate), "-m", "20"]
    return subprocess.Popen(
        [*command, "-w", "\n%{http_version} %{http_code}", *options, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="package")
def curl_with_http2() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if b"HTTP2" not in subprocess.run(["curl", "-V"], capture_output=True, timeout=10, check=True).stdout:
        pytest.skip("this curl knows no HTTP/2")


@pytest.mark.usefixtures("curl_with_http2")
def test_on_http_2_a_stream_is_the_same_and_resumes(
    way: str, proxies: dict[str, Nginx], http_servers: dict[str, Server], certificate: Certificate, ended: str
) -> None:
    path = f"/v1/generations/{ended}/events"
    whole = http_servers[way].address.get(path)
    for cursor, expected in ((None, whole.body), (20, None), (-1, b"")):
        resume = () if cursor is None else ("-H", f"Last-Event-ID: {whole.frames[cursor].id}")
        with curl(proxies[way], certificate, path, *resume) as following:
            received, said = following.communicate(timeout=30)
        body, _, spoken = received.rpartition(b"\n")
        assert (spoken, said) == (b"2 204" if cursor == -1 else b"2 200", b"")
        if expected is not None:
            assert body == expected
        else:
            assert list(frames(iter([body]))) == whole.frames[21:]


@pytest.mark.usefixtures("curl_with_http2")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stream_that_is_cut_does_not_end_cleanly(
    way: str, number: signal.Signals, proxies: dict[str, Nginx], http_servers: dict[str, Server], certificate: Certificate,
    client: Client,
) -> None:  # fmt: skip
    """On HTTP/1.1, TLS and HTTP/2; by SIGTERM, which tells the viewers that they are sent away, and by SIGKILL."""
    nginx, server = proxies[way], http_servers[way]
    generation = client.submit(LIVE)
    with (
        Address(nginx.port).connect() as first,
        Address(nginx.tls_port, certificate.trusted).connect() as second,
        curl(nginx, certificate, f"/v1/generations/{generation.id}/events") as third,
    ):
        received = [follow(viewer, generation.id, 3) for viewer in (first, second)]
        assert third.stdout is not None
        received.append(third.stdout.read(1000))
        server.api.signal(number)
        for at, viewer in enumerate((first, second)):
            received[at] += until_cut(viewer)
        rest, said = third.communicate(timeout=30)
        assert third.returncode == NOT_CLOSED_CLEANLY, said
        received[2] += rest
    for text in received:
        assert (b'"type":"drain"' in text) == (number == signal.SIGTERM)
        assert b'"type":"stream_end"' not in text
    server.api.wait()
    server.api.start()
    until(Address(server.api_port).answers, "the API is back", 20)
    client.cancel(generation.id)


def test_while_the_api_is_away_an_event_stream_is_told_to_come_back_and_everything_else_that_it_is_away(
    tmp_path: Path, certificate: Certificate
) -> None:
    nginx = binary()
    if nginx is None:
        pytest.skip("nginx is not installed")
    with Nginx(nginx, tmp_path, free_port(), certificate) as proxy:
        for address in (Address(proxy.port), Address(proxy.tls_port, certificate.trusted)):
            with address.connect() as viewer:
                viewer.ask("/v1/generations/gen_00000000000000000000000000/events")
                head = viewer.head()
                assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
                assert head.headers["cache-control"] == "no-store"
                assert until_cut(viewer) == b'data: {"type":"drain"}\nretry: 2000\n\n'
            for method, path in (("GET", "/v1/generations"), ("POST", "/v1/generations"), ("POST", "/v1/chat/stream")):
                with address.connect() as other:
                    other.ask(path, method, BODY if method == "POST" else None)
                    assert other.answer().status == 502


@pytest.mark.usefixtures("curl_with_http2")
def test_on_http_2_too_the_stream_of_an_api_that_is_away_breaks_off(tmp_path: Path, certificate: Certificate) -> None:
    nginx = binary()
    if nginx is None:
        pytest.skip("nginx is not installed")
    with (
        Nginx(nginx, tmp_path, free_port(), certificate) as proxy,
        curl(proxy, certificate, "/v1/generations/gen_00000000000000000000000000/events") as following,
    ):
        received, _ = following.communicate(timeout=30)
        assert following.returncode == NOT_CLOSED_CLEANLY
        assert received.startswith(b'data: {"type":"drain"}\nretry: 2000\n\n')


def until_cut(viewer: Connection) -> bytes:
    """The rest of a stream that must not end cleanly."""
    received = b""
    try:
        for chunk in viewer.chunks():
            received += chunk
    except Cut:
        return received
    raise AssertionError("it ended cleanly")
