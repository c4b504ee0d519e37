"""`make up`: the whole of Respool on one machine, in one terminal, until Ctrl-C.

Starts the embedded Valkey (unless RESPOOL_REDIS_URL names a server), the simulated upstream (unless there is a key for
Anthropic), one API and one worker; waits until they are ready; starts again whatever ends by itself; and takes all of
it down, in the order that loses nothing, when it is asked to or dies.
"""

import argparse
import asyncio
import errno
import http.client
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from broker.errors import BrokerError
from broker.local.embedded import EmbeddedError, EmbeddedServer, free_port
from broker.local.first_key import NoKey, asks_for_keys, first_key, pepper, secret
from broker.processes.supervise import Child, Kept, Terminal
from broker.store.client import connect
from broker.store.coordination import Coordination

COMMANDS: Final[dict[str, list[str]]] = {
    "api": ["-m", "api"],
    "worker": ["-m", "worker", "--processes", "1"],
    "simulator": ["-m", "worker.simulator"],
}
"""The arguments of Python for each part."""
GRACE: Final[dict[str, float]] = {"api": 3.5, "worker": 6.0, "simulator": 0.5, "valkey": 2.0}
"""Seconds between SIGTERM and SIGKILL; the parts are stopped in this order, so Ctrl-C takes 12 s at the very most."""
HURRY: Final[dict[str, str]] = {"RESPOOL_SHUTDOWN": "2", "RESPOOL_DRAIN": "1"}
"""Shorter waits than those of a server: what is stopped at Ctrl-C goes on at the next start."""
MODELS: Final[dict[bool, str]] = {True: "sim-1", False: "claude-sonnet-5-5"}
"""What requests get that name no model: the simulated one, or a current one where there is a key."""
PAGES: Final[dict[str, str]] = {"RESPOOL_CORS_ORIGINS": "loopback"}
"""A page that is built on this machine may use the API from its development server."""
TOOLS: Final[dict[str, str]] = {"RESPOOL_TOOLS": "worker.tools"}
"""Those that ship: whoever tries things out may ask for them."""
READY: Final = 60.0
"""Seconds for the whole stack to become ready, an append-only file to be loaded included."""
TRIES: Final = 4
"""A part that ends this many times before the stack is ready is given up."""


class Trouble(Exception):
    """The stack cannot be started; the text says why, for the person at the terminal."""


class Stopped(Exception):
    """A signal asked us to stop while we were still starting."""


class Stack:
    """The parts, in the order they were started, and what the person at the terminal asked for. `parent`: the process with
    whose end that person is gone."""

    def __init__(self, terminal: Terminal, parent: int | None = None) -> None:
        self.terminal = terminal
        self.parent = parent
        self.parts: dict[str, Kept] = {}
        self.stopping = False

    def start(self, name: str, part: Child | EmbeddedServer) -> None:
        kept = Kept(name, part, self.terminal)
        kept.launch()
        self.parts[name] = kept

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Tend the parts until the condition holds. Raises Trouble after READY seconds, Stopped when asked to stop."""
        deadline = time.monotonic() + READY
        while not condition():
            self._tend()
            for kept in self.parts.values():
                if kept.quick_ends >= TRIES:
                    raise Trouble(f"{kept.name} ended {TRIES} times at its start; its last words are above")
            if time.monotonic() > deadline:
                raise Trouble(f"{what} was not ready within {READY:.0f} s")

    def forever(self) -> None:
        """Tend the parts until somebody asks us to stop, by raising Stopped."""
        while True:
            self._tend()

    def stop(self) -> None:
        """The API first (it sends its viewers away), the worker (it hands over), last the store they both write to."""
        self.stopping = True
        for name in GRACE:
            if name in self.parts:
                self.parts[name].part.stop(GRACE[name])

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """The first one stops, the second one kills. Only a flag and kill(2): anything may have been interrupted."""
        if self.stopping:
            for kept in self.parts.values():
                kept.part.signal(signal.SIGKILL)
        self.stopping = True

    def _tend(self) -> None:
        for kept in self.parts.values():
            kept.tend(time.monotonic())
        time.sleep(0.05)
        if self.stopping or (self.parent is not None and os.getppid() != self.parent):
            raise Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; returns the exit code: 0 after Ctrl-C or SIGTERM, 1 if the stack could not be started."""
    parser = argparse.ArgumentParser(
        prog="python -m broker.local.up", description="Respool on one machine, until Ctrl-C."
    )
    parser.add_argument("--port", type=int, default=8000, help="TCP port of the API; 0: a free one")
    parser.add_argument("--data", type=Path, default=Path(".respool"), help="where the embedded Valkey keeps its data")
    parser.add_argument(
        "--maxmemory",
        default=os.environ.get("MAXMEMORY"),  # make hands on what it was called with
        help="of the embedded Valkey, in its words: 2gb (default: a quarter of the machine's)",
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when the process that started this one has gone"
    )
    options = parser.parse_args(arguments)
    terminal = Terminal(sys.stdout.buffer)
    stack = Stack(terminal, os.getppid() if options.with_parent else None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish, or a background job's
            signal.signal(number, stack.on_signal)
    try:
        valkey = EmbeddedServer(options.data, config={"maxmemory": options.maxmemory} if options.maxmemory else None)
        bring_up(stack, options.port, valkey, os.environ)
        stack.forever()
    except Stopped:
        terminal.say("\nStopping (once more kills).")
        return 0
    except (Trouble, EmbeddedError, NoKey, OSError) as error:
        terminal.say(f"\nRespool is not up: {error}")
        return 1
    finally:
        stack.stop()
    raise AssertionError("unreachable")


def bring_up(stack: Stack, port: int, valkey: EmbeddedServer, environ: Mapping[str, str]) -> None:
    """Start every part, wait until requests are served, and say how to try it."""
    host = environ.get("RESPOOL_HOST") or "127.0.0.1"
    port = port or free_port()
    env = {**HURRY, **TOOLS, **environ, "RESPOOL_HOST": host, "RESPOOL_PORT": str(port)}
    if not environ.get("RESPOOL_REDIS_URL"):
        stack.start("valkey", valkey)
        stack.until(valkey.ready, "the embedded Valkey")
        env |= {"RESPOOL_REDIS_URL": valkey.url, **secret(environ, valkey.data_dir)}
    keyed = asks_for_keys(environ)
    if keyed:
        env |= pepper(environ, valkey.data_dir)
    check_free(host, port)
    # Generations need a worker's key alone, so only the worker is given a real one: whoever can reach the API is far from it.
    secrets = {name: env.pop(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN") if env.get(name)}
    upstream = dict(secrets)
    if not secrets:
        simulator_port = free_port()
        stack.start("simulator", child("simulator", env, stack.terminal, "--port", str(simulator_port)))
        upstream = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{simulator_port}", "ANTHROPIC_API_KEY": "simulated"}
        stack.until(lambda: listens(simulator_port), "the simulated upstream")
    usual = {"RESPOOL_MODEL": MODELS[not secrets]}
    simulated = {} if secrets else upstream
    stack.start("api", child("api", {**PAGES, **usual, **env, **simulated}, stack.terminal))
    # README's experiment kills this checkout's worker, and no other.
    stack.start("worker", child("worker", {**env, **upstream}, stack.terminal, pid_file=valkey.data_dir / "worker.pid"))
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (compared, not bound)  # nosec B104
    url = f"http://{everywhere.get(host, host)}:{port}"
    stack.until(lambda: answers(f"{url}/readyz"), "the API")
    stack.until(lambda: beats(env["RESPOOL_REDIS_URL"]), "the worker")
    where = str(valkey.data_dir) if "valkey" in stack.parts else "the server that RESPOOL_REDIS_URL names"
    key = first_key(env, valkey.data_dir) if keyed else ""
    stack.terminal.say(welcome(url, where, simulated=not secrets, key=key))


def child(
    name: str, env: Mapping[str, str], terminal: Terminal, *arguments: str, pid_file: Path | None = None
) -> Child:
    return Child(name, [*COMMANDS[name], *arguments], env, terminal, pid_file)


def check_free(host: str, port: int) -> None:
    """Raises Trouble if the API could not listen there."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        why = "something else listens there" if getattr(error, "errno", None) == errno.EADDRINUSE else str(error)
        raise Trouble(f"port {port} of {host} cannot be used: {why}. Another one: make up PORT=8123") from None


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a GET is answered with 200; never through a proxy that the environment may name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def beats(redis_url: str) -> bool:
    """Whether a worker on this host has written its heartbeat lately."""

    async def alive() -> bool:
        client = connect(redis_url, connections=1, retries=0, answer_seconds=2)
        try:
            return await Coordination(client).alive(socket.gethostname())
        finally:
            await client.aclose(close_connection_pool=True)

    try:
        return asyncio.run(alive())
    except BrokerError:
        return False


def welcome(url: str, data: str, *, simulated: bool, key: str) -> str:
    """What a newcomer reads: where it is, whether the model is real, who is answered, and a resume to paste. `key`: the first
    API key, if keys are asked for."""
    curl = 'curl -H "X-Api-Key: $KEY"' if key else "curl"
    doors = (
        f"  It answers who has an API key. The first one, of the tenant `local`, for everything:\n\nKEY={key}\n"
        if key
        else "  It asks nobody for a key. RESPOOL_REQUIRE_KEYS=1 make up does, and makes one.\n"
    )
    model, tokens = ("sim-1?tps=20&tokens=200", 1024) if simulated else ("claude-haiku-5-5", 400)
    loud = (
        "\n  *** THE MODEL IS SIMULATED: there is no ANTHROPIC_API_KEY, so the answers are made up on this machine. ***\n"
        "  *** To talk to Anthropic: ANTHROPIC_API_KEY=... make up                                                ***\n"
    )
    message = '[{"role": "user", "content": "Tell me a story"}]'
    body = f'{{"model": "{model}", "max_tokens": {tokens}, "messages": {message}}}'
    submit = (
        f"ID=$({curl} -s {url}/v1/generations -H 'Content-Type: application/json' -d '{body}'"
        " | grep -o 'gen_[0-9A-Z]*' | head -1)"
    )
    events = f"{url}/v1/generations/$ID/events"
    first = f"LAST=$({curl} -sN -m 3 {events} | tee /dev/stderr"
    first += " | awk '/^id: /{id=$2} /^$/{last=id} END{print last}')"  # of the last whole frame
    second = f"""echo "--- cut after $LAST; resuming ---"; {curl} -sN -H "Last-Event-ID: $LAST" {events}"""
    return f"""
  Respool is up: {url}    (Ctrl-C stops all of it; the data stays in {data})
{loud if simulated else ""}
{doors}
  A resume, in another terminal. Submit, and follow it:

{submit}
{curl} -N {events}

  Cut that with Ctrl-C, copy the last `id:` it showed, and go on from there:

{curl} -N -H 'Last-Event-ID: PASTE-IT-HERE' {events}

  The same in one line (it follows for 3 s, drops the connection, and resumes):

{submit}; {first}; {second}
"""


if __name__ == "__main__":
    sys.exit(main())
