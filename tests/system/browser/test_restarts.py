"""Restarts of the only API behind the documented proxies, seen from Chromium: no EventSource is lost, and no cut is taken for
the end."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from broker.local.embedded import free_port
from tests.harness.stack import STARTS, Stack, until
from tests.system.browser.chromium import chromium
from tests.system.faults.family import family
from tests.system.http.certificate import Certificate, make_certificate
from tests.system.http.proxy import Nginx, binary
from tests.system.http.test_caddy import caddy
from tests.system.http.wire import Address

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PACKAGE = "@microsoft/fetch-event-source@2.0.1"
PAGE = Path(__file__).with_name("watching.html")
RESTARTS, WATCHING, FETCHING = 6, 20, 5
HANDS_A_CUT_ON = (2, 8)
"""The first Caddy that does so on HTTP/2; before it every cut of ours became a clean end."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files, as a page loads them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("package")
    (folder / "package.json").write_text('{"private": true}')
    options = ("--no-audit", "--no-fund", "--no-package-lock", "--silent")
    installed = subprocess.run([npm, "install", *options, PACKAGE], cwd=folder, capture_output=True, timeout=120)
    if installed.returncode:
        pytest.skip(f"npm could not install {PACKAGE} (no network?)")
    return folder / "node_modules" / "@microsoft" / "fetch-event-source" / "lib" / "esm"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def page(package: Path) -> Iterator[Any]:
    """A page of a browser; what it is made of comes from here, whatever the origin."""
    with chromium() as browser:
        opened = browser.new_context(ignore_https_errors=True).new_page()
        opened.route("**/watching.html", lambda route: route.fulfill(body=PAGE.read_text(), content_type="text/html"))
        opened.route(
            "**/package/*", lambda route: route.fulfill(body=_script(package, route), content_type="text/javascript")
        )
        yield opened


def _script(package: Path, route: Any) -> str:
    name = route.request.url.rpartition("/")[2]
    return (package / f"{name.removesuffix('.js')}.js").read_text()


@contextmanager
def stop_and_start(stack: Stack, port: int) -> Iterator[Callable[[], None]]:
    """For a while nobody listens."""
    with ExitStack() as running:

        def start() -> Any:
            return running.enter_context(family(stack, "api", 1, port=port))

        parent = start().parent

        def restart() -> None:
            nonlocal parent
            parent.stop()
            parent = start().parent

        yield restart


@contextmanager
def hang_up(stack: Stack, port: int) -> Iterator[Callable[[], None]]:
    """SIGHUP: a successor takes over."""
    with family(stack, "api", 1, port=port) as apis:

        def restart() -> None:
            before = apis.children()
            apis.parent.signal(signal.SIGHUP)
            until(lambda: not apis.strays(before), "the one before has gone", 40)

        yield restart


@contextmanager
def nginx(folder: Path, port: int, certificate: Certificate) -> Iterator[str]:
    program = binary()
    if program is None:
        pytest.skip("nginx is not installed")
    with Nginx(program, folder, port, certificate) as running:
        yield f"https://localhost:{running.tls_port}"


@contextmanager
def caddy_with_tls(folder: Path, port: int, certificate: Certificate) -> Iterator[str]:
    with caddy(folder, port, certificate) as address:
        yield f"https://localhost:{address.port}"


def hands_cuts_on(proxy: object) -> bool:
    if proxy is nginx:
        return True
    said = subprocess.run(["caddy", "version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.match(r"v?(\d+)\.(\d+)", said)
    return found is not None and tuple(map(int, found.groups())) >= HANDS_A_CUT_ON


@pytest.mark.parametrize("way", [stop_and_start, hang_up])
@pytest.mark.parametrize("proxy", [nginx, caddy_with_tls])
def test_no_viewer_is_lost_to_a_restart(
    tmp_path: Path, page: Any, certificate: Certificate, proxy: Callable[..., Any], way: Callable[..., Any]
) -> None:
    port = free_port()
    with Stack(apis=0) as stack, way(stack, port) as restart, proxy(tmp_path, port, certificate) as origin:
        api = f"http://127.0.0.1:{port}"
        until(Address(port).answers, "the API answers", STARTS)
        body = {
            "model": "sim-1?tps=20&tokens=20000&ttft_ms=20", "max_tokens": 20000,
            "messages": [{"role": "user", "content": "?"}],
        }  # fmt: skip
        id_ = httpx2.post(f"{api}/v1/generations", json=body).json()["id"]
        url = f"/v1/generations/{id_}/events"
        page.goto(f"{origin}/watching.html")
        page.wait_for_function("() => window.ready")
        page.evaluate(
            "([url, watching, fetching]) => { for (let i = 0; i < watching; i++) watch(url); "
            "for (let i = 0; i < fetching; i++) fetch_(url); }",
            [url, WATCHING, FETCHING],
        )
        for _ in range(RESTARTS):
            moved_on(page)
            restart()
        moved_on(page)
        httpx2.post(f"{api}/v1/generations/{id_}/cancel")
        page.wait_for_function("() => viewers.every((each) => each.done || each.lost)", timeout=60_000)
        text = httpx2.get(f"{api}/v1/generations/{id_}").json()["text"]
        for viewer in seen(page):
            if viewer["kind"] == "EventSource" or hands_cuts_on(proxy):
                assert (viewer["lost"], viewer["gaps"], viewer["done"]) == (False, 0, True)
                assert viewer["text"] == text
        assert len(seen(page)) == WATCHING + FETCHING


def moved_on(page: Any) -> None:
    """Returns when every viewer that lives has more than it has now."""
    before = [len(viewer["text"]) for viewer in seen(page)]
    page.wait_for_function(
        "(before) => viewers.every((each, i) => each.lost || each.text.length > before[i])", arg=before, timeout=60_000
    )


def seen(page: Any) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", page.evaluate("() => viewers"))
