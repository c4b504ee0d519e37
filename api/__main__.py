"""`python -m api`: serves the API until SIGTERM or SIGINT, in one process or several under a small parent, which holds the
listening sockets. SIGHUP: successors take over without a gap. `--alone`: in this process, for a supervisor that is not ours."""

import argparse
import asyncio
import socket
import ssl
import sys
from contextlib import ExitStack

import uvloop
from pydantic import ValidationError

from api.audit.trail import BadAudit, check_folder
from api.settings import ApiSettings
from broker import journal
from broker.cells import Cell
from broker.collecting import seldom
from broker.errors import StorageUnavailable, UnsafeStorage
from broker.processes.children import CannotRun, Processes
from broker.settings import why
from broker.store.address import BadAddress
from broker.store.archive import BadArchive, open_archive
from broker.store.cluster import connect_logs
from broker.store.safety import check_cell, check_safe, warn_unless_guarded
from broker.tools.loading import BadTools, load


def listen(settings: ApiSettings, *, shared: bool, port: int | None = None) -> socket.socket:
    """The listening socket. Its send buffer is bounded, and so is that of every connection it accepts: what the kernel would
    hold for a viewer that does not read is megabytes. `shared`: other processes listen there too, and
    the kernel spreads connections over them. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
    if sys.platform == "linux":
        # A client that vanished without a word is noticed by the keep-alives that it does not acknowledge; the kernel alone
        # takes a quarter of an hour.
        milliseconds = round(settings.stalled_viewer * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    listening.bind((settings.host, settings.port if port is None else port))
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
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile, password="")  # nosec B106
    except ssl.SSLError as error:
        pair = f"{settings.tls_certfile} and {settings.tls_keyfile}"
        raise BadCertificate(f"{pair} are not a certificate and its key: {error.reason or error}") from None
    return context


async def _refuse_unsafe(settings: ApiSettings, *, must_answer: bool) -> None:
    """Raises UnsafeStorage, BadArchive, BadTools or BadAudit. A Redis that is not there yet is no reason not to start
    (/readyz tells), unless it must answer, for somebody serves already whom we should replace: then StorageUnavailable, if no
    cell's does."""
    if settings.archive_url is not None:
        open_archive(settings.archive_url)
    load(settings.tool_modules)
    if settings.audit_log is not None:
        check_folder(settings.audit_log)
    cells = settings.all_cells
    found = await asyncio.gather(*(_check(settings, cell) for cell in cells), return_exceptions=True)
    failures = [each for each in found if each is not None]
    away = [each for each in failures if isinstance(each, StorageUnavailable)]
    for failure in failures:
        if failure not in away or (must_answer and len(away) == len(cells)):
            raise failure


async def _check(settings: ApiSettings, cell: Cell) -> None:
    """Raises UnsafeStorage, BadAddress or StorageUnavailable."""
    own = settings.of(cell)
    try:
        for url in {own.redis_url, own.effective_logs_url}:
            redis = connect_logs(url, connections=1, retries=0)
            try:
                await check_safe(redis, own.trust)
                await check_cell(redis, cell.number)
                await warn_unless_guarded(redis)
            finally:
                await redis.aclose(close_connection_pool=True)
    except (UnsafeStorage, BadAddress) as error:
        if settings.cells is not None:
            raise UnsafeStorage(f"cell {cell.number}: {error}") from None
        raise


def main() -> int:
    seldom()
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--processes", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--alone", action="store_true", help="one process, without a parent: SIGHUP ends it")
    parser.add_argument("--env-file", help="NAME=VALUE lines for what the environment does not set, read at SIGHUP too")
    parser.add_argument("--inherit", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--announce", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1")
    if arguments.alone and arguments.processes > 1:
        parser.error("--alone is one process")
    try:
        settings = ApiSettings(_env_file=arguments.env_file)
        tls = tls_context(settings)
    except (ValidationError, BadCertificate) as error:
        print(f"api: {why(error) if isinstance(error, ValidationError) else error}", file=sys.stderr)
        return 1
    journal.begin(settings.log_level)
    try:
        uvloop.run(_refuse_unsafe(settings, must_answer=arguments.announce is not None))
        if arguments.inherit is not None:
            _serve(settings, socket.socket(fileno=arguments.inherit), tls, arguments.announce)
        elif arguments.alone:
            with listen(settings, shared=False) as listening:
                _serve(settings, listening, tls, None)
        else:
            uvloop.run(_parent(settings, arguments.processes, arguments.env_file))
    except (BadAddress, BadArchive, BadAudit, BadTools, UnsafeStorage, StorageUnavailable, CannotRun) as error:
        print(f"api: {error or 'Redis did not answer'}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"api: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _parent(settings: ApiSettings, processes: int, env_file: str | None) -> None:
    """Holds the sockets, bound, so that a taken port is found out here, and listened on by the children. One for each child,
    over which Linux spreads connections evenly (on one for all, some children get many times what others get); where the
    kernel does not spread them, one for all."""

    async def died(_: str) -> None:
        """Its viewers come back by themselves, to its siblings."""

    argv = ("-m", "api", *(("--env-file", env_file) if env_file else ()))
    several = processes > 1 and sys.platform == "linux"
    with ExitStack() as held:
        first = held.enter_context(listen(settings, shared=several))
        port = first.getsockname()[1]
        more = range(processes - 1 if several else 0)
        sockets = [first, *(held.enter_context(listen(settings, shared=True, port=port)) for _ in more)]
        await Processes(processes, lambda _: argv, settings.shutdown + 5, died, sockets=sockets).run()


def _serve(settings: ApiSettings, listening: socket.socket, tls: ssl.SSLContext | None, announce: int | None) -> None:
    from api.serving import serve  # the application is large, and a parent has no use for it

    serve(settings, listening, tls, announce)


if __name__ == "__main__":
    sys.exit(main())
