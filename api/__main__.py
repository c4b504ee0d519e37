"""`python -m api`: serves the API until SIGTERM or SIGINT. `--processes N`: in N processes on one port."""

import argparse
import socket
import ssl
import sys
import time
from contextlib import suppress
from functools import partial

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import ValidationError

from api.app import create_app
from api.connections import Connections, bound
from api.direct import DirectProtocol, HttpProtocol
from api.guard import NOSNIFF
from api.service import Service
from api.settings import ApiSettings
from broker import journal
from broker.connect import check_safe, connect
from broker.errors import StorageUnavailable, UnsafeStorage
from broker.processes import CannotRun, Processes


class Server(uvicorn.Server):
    """uvicorn waits for open responses before it shuts the application down: streams must be sent away before that."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, connections: Connections) -> None:
        super().__init__(config)
        self._app = app
        self._connections = connections

    async def on_tick(self, counter: int) -> bool:
        self._connections.tick()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service: Service = self._app.state.service
        service.hub.drain()
        await super().shutdown(sockets)


def listen(settings: ApiSettings, *, shared: bool) -> socket.socket:
    """The listening socket. Its send buffer is bounded, and so is that of every connection it accepts: what the kernel would
    hold for a viewer that does not read is megabytes. `shared`: other processes listen there too, and
    the kernel spreads connections over them. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
    listening.bind((settings.host, settings.port))
    return listening


class BadCertificate(Exception):
    """What TLS was asked for with cannot be used; the text says why."""


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """What the settings ask for; None for plain HTTP. Raises BadCertificate."""
    if settings.tls_certfile is None or settings.tls_keyfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for file in (settings.tls_certfile, settings.tls_keyfile):
        try:
            file.open("rb").close()
        except OSError as error:
            raise BadCertificate(f"{file}: {error.strerror}") from None
    try:
        # An empty passphrase: without one OpenSSL asks for it on the terminal, and waits.
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile, password="")
    except ssl.SSLError as error:
        pair = f"{settings.tls_certfile} and {settings.tls_keyfile}"
        raise BadCertificate(f"{pair} are not a certificate and its key: {error.reason or error}") from None
    return context


async def _refuse_unsafe(settings: ApiSettings) -> None:
    """Raises UnsafeStorage. A Redis that is not there yet is no reason not to start: /readyz tells."""
    for url in {settings.redis_url, settings.effective_logs_url}:
        redis = connect(url, connections=1, retries=0)
        try:
            with suppress(StorageUnavailable):
                await check_safe(redis, ephemeral=settings.ephemeral)
        finally:
            await redis.aclose(close_connection_pool=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--processes", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1")
    try:
        settings = ApiSettings()
        tls = tls_context(settings)
    except (ValidationError, BadCertificate) as error:
        print(f"api: {_why(error)}", file=sys.stderr)
        return 1
    journal.begin(settings.log_level)
    try:
        uvloop.run(_refuse_unsafe(settings))
        with listen(settings, shared=arguments.shared or arguments.processes > 1) as listening:
            if arguments.processes > 1:
                # Bound, so that a taken port is found out here, but not listening: all connections are the children's.
                uvloop.run(_several(settings, arguments.processes))
            else:
                serve(settings, listening, tls)
    except (UnsafeStorage, CannotRun) as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"api: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _why(error: ValidationError | BadCertificate) -> str:
    """In one line, and without what was set: it may be a secret."""
    if isinstance(error, BadCertificate):
        return str(error)
    found = ([*map(_variable, fault["loc"]), fault["msg"].removeprefix("Value error, ")] for fault in error.errors())
    return "; ".join(": ".join(parts) for parts in found)


def _variable(field: int | str) -> str:
    return f"RESPOOL_{field}".upper()


async def _several(settings: ApiSettings, processes: int) -> None:
    async def died(_: str) -> None:
        """Its viewers come back by themselves, to its siblings."""

    await Processes(processes, lambda _: ("-m", "api", "--shared"), settings.shutdown + 5, died).run()


def serve(settings: ApiSettings, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Serves until a signal. Raises CannotRun."""
    app = create_app(settings)
    connections = Connections(bound(settings.connections), time.monotonic)
    protocol = DirectProtocol if settings.http == "direct" else HttpProtocol
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(protocol, connections),  # type: ignore[arg-type]  # it is only called
        ws="none",
        lifespan="on",
        log_config=None,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[NOSNIFF],
        backlog=4096,
        timeout_graceful_shutdown=round(settings.shutdown),
    )
    server = Server(config, app, connections)
    server.run(sockets=[listening])
    if not server.started:
        raise CannotRun("the application could not start; its last words are above")


if __name__ == "__main__":
    sys.exit(main())
