"""One API process: uvicorn, and how it goes. SIGTERM: at once. SIGHUP: its successor serves already, none is refused."""

import asyncio
import os
import signal
import socket
import ssl
import threading
import time
from functools import partial
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.access.origin import Origins
from api.app import create_app
from api.delivery.connections import Connections, bound
from api.delivery.uvicorn_direct import DirectProtocol, HttpProtocol
from api.delivery.uvicorn_socket import PONG_SECONDS, DirectSocketProtocol, SocketProtocol
from api.intake.socket_messages import MOST_BYTES
from api.routes.cells import Cells
from api.settings import ApiSettings
from broker.processes.children import CannotRun

LINGER: Final = 1.0
"""Seconds that a process with a successor still answers on the connections that it has, once on each: what is on its way when
it stops to accept must not meet a closed connection."""


class Server(uvicorn.Server):
    """uvicorn waits for open responses before it shuts the application down: streams must be sent away before that."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, connections: Connections, announce: int | None) -> None:
        super().__init__(config)
        self._app = app
        self._connections = connections
        self._announce = announce
        self._has_successor = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hand_over)
        if self._announce is not None:
            os.write(self._announce, b"1")
            os.close(self._announce)

    async def on_tick(self, counter: int) -> bool:
        self._connections.tick()
        return await super().on_tick(counter)

    def _hand_over(self) -> None:
        self._has_successor = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._has_successor:
            await self._linger()
        cells: Cells = self._app.state.cells
        cells.drain()
        await super().shutdown(sockets)

    async def _linger(self) -> None:
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(LINGER)


def serve(
    settings: ApiSettings, listening: socket.socket, tls: ssl.SSLContext | None, announce: int | None = None
) -> None:
    """Serves until a signal. Raises CannotRun. `announce`: the descriptor into which it writes a byte when it serves."""
    app = create_app(settings)
    origins: Origins = app.state.origins
    connections = Connections(bound(settings.connections, len(settings.all_cells)), time.monotonic)
    direct = settings.http == "direct"
    protocol, sockets = (DirectProtocol, DirectSocketProtocol) if direct else (HttpProtocol, SocketProtocol)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(protocol, connections),  # type: ignore[arg-type]  # it is only called
        ws=partial(sockets, connections),  # type: ignore[arg-type]  # likewise
        ws_max_size=MOST_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.keep_alive,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="on",
        log_config=None,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[(name.decode(), value.decode()) for name, value in origins.standing],
        backlog=4096,
        timeout_graceful_shutdown=round(settings.shutdown),
    )
    server = Server(config, app, connections, announce)
    server.run(sockets=[listening])
    if not server.started:
        raise CannotRun("the application could not start; its last words are above")
