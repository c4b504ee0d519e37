"""`python -m api`: serves the API until SIGTERM or SIGINT."""

import logging
import socket
import sys
from contextlib import suppress

import uvicorn
import uvloop
from fastapi import FastAPI

from api.app import create_app
from api.direct import DirectProtocol
from api.service import Service
from api.settings import ApiSettings
from broker.connect import check_safe, connect
from broker.errors import StorageUnavailable, UnsafeStorage


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
    settings = ApiSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        uvloop.run(_refuse_unsafe(settings))
        listening = listen(settings)
    except UnsafeStorage as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
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
