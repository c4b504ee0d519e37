"""`python -m tests.harness.forking MODULE DESCRIPTOR`: imports what MODULE's processes import, once, and forks one for each
that is asked for over the socket of that descriptor. What it forks runs MODULE's `main`, from its first line. forks.py asks."""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Any, Final

IMPORTS: Final = {
    "api": ("api.__main__", "api.serving"),
    "worker": ("worker.__main__", "worker.process", "worker.upstreams.anthropic.client"),
    "worker.simulator": ("worker.simulator.__main__", "uvloop"),
}
"""What a process of each module has imported when it is ready."""
_PIECE: Final = 65536


def main() -> int:
    module, descriptor = sys.argv[1:]
    for name in IMPORTS[module]:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    gc.collect()
    gc.freeze()  # so that what all of them share stays shared
    if not serve(socket.socket(fileno=int(descriptor))):
        return 0
    code: int = importlib.import_module(f"{module}.__main__").main()
    return code


def serve(link: socket.socket) -> bool:
    """Forks what is asked for, and tells how each ended. False when who asks is gone; True in a process that was forked."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    numbers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([link.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, _PIECE)
            _tell_ends(link, numbers)
        if link.fileno() in ready:
            if (request := _asked(link)) is None:
                return False
            asked, output = request
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                link.close()
                os.close(woken)
                os.close(wake)
                _become(asked, output)
                return True
            os.close(output)
            numbers[pid] = asked["number"]
            _tell(link, number=numbers[pid], pid=pid)


def _asked(link: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The next request, and where its process writes; None at the end."""
    data, descriptors, _, _ = socket.recv_fds(link, _PIECE, 1)
    if not data:
        return None
    while not data.endswith(b"\n"):
        data += link.recv(_PIECE)
    request: dict[str, Any] = json.loads(data)
    return request, descriptors[0]


def _become(request: dict[str, Any], output: int) -> None:
    """What subprocess.Popen does for a child of a session of its own, without input."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["arguments"]
    # As the interpreter does when it starts, behind the directory that `-m` puts first.
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [folder for folder in folders if folder and folder not in sys.path]


def _tell_ends(link: socket.socket, numbers: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(link, number=numbers.pop(pid), code=os.waitstatus_to_exitcode(status))


def _tell(link: socket.socket, **said: int) -> None:
    link.sendall(json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
