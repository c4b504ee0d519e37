"""`python -m api`: serves the API until SIGTERM or SIGINT."""

import logging
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.direct import DirectProtocol
from api.service import Service
from api.settings import ApiSettings


class Server(uvicorn.Server):
    """uvicorn waits for open responses before it shuts the application down: streams must be sent away before that."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service: Service = self._app.state.service
        service.hub.drain()
        await super().shutdown(sockets)


def listen(settings: ApiSettings) -> socket.socket:
    """The listening socket. Its send buffer is bounded, and so is that of every connection it accepts: what the kernel would
    hold for a viewer that does not read is megabytes. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
    listening.bind((settings.host, settings.port))
    return listening


def main() -> int:
    settings = ApiSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        listening = listen(settings)
    except OSError as error:
        print(f"api: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=DirectProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.shutdown),
    )
    with listening:
        Server(config, app).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
