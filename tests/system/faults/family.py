"""A parent with the processes that it keeps, `python -m api` or `python -m worker` with `--processes`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python, running
from tests.harness.stack import STARTS, Stack, until


class Family:
    """`parent` is the process that was started; its children are found by what they are called with."""

    def __init__(self, parent: Child, module: str) -> None:
        self.parent = parent
        self._module = module

    def ready(self, number: int) -> None:
        """Waits until so many children have said that they are, the dead ones included."""
        words = {"api": "Application startup complete", "worker": "worker ready"}[self._module]
        until(lambda: self.parent.log.count(words) >= number, f"child number {number} is ready", STARTS)

    def children(self) -> dict[int, str]:
        """Their pids and command lines."""
        return {row.pid: row.command for row in running() if row.parent == self.parent.pid and self._is(row.command)}

    def strays(self, pids: dict[int, str]) -> list[int]:
        """Which of these still run, as what they were."""
        return [row.pid for row in running() if pids.get(row.pid) == row.command]

    def kill(self, pid: int) -> None:
        """SIGKILL for one child."""
        assert pid in self.children()
        os.kill(pid, signal.SIGKILL)

    def _is(self, command: str) -> bool:
        return f" -m {self._module} " in command


@contextmanager
def family(
    stack: Stack, module: str, processes: int = 2, arguments: tuple[str, ...] = (), **settings: object
) -> Iterator[Family]:
    """A parent and its children, all there and ready; gone when the block is left. `settings` as for a Stack."""
    environment = {
        **stack.environment(),
        "ANTHROPIC_BASE_URL": stack.upstream_url,
        "ANTHROPIC_API_KEY": "simulated",
        **{f"RESPOOL_{name.upper()}": str(value) for name, value in settings.items()},
    }
    orphans = Orphans()
    number = len(list(stack.folder.glob("family-*.log")))
    command = python(module, "--processes", str(processes), *arguments)
    parent = Child(f"family-{number}", command, environment, stack.folder, orphans).start()
    try:
        made = Family(parent, module)
        made.ready(processes)
        assert len(made.children()) == processes
        yield made
    except BaseException:
        print(f"---- {parent.name}\n{parent.log[-4000:]}")
        raise
    finally:
        orphans.close()
        if parent.running:
            parent.wait(20)
