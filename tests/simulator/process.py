"""A simulated upstream in a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.processes import Child, python
from tests.harness.stack import STARTS, until
from tests.simulator.sdk import Upstream


@contextmanager
def simulated(folder: Path, *arguments: str) -> Iterator[Upstream]:
    """On a free port; it is ended by SIGTERM, and must say that all was well."""
    child = Child("simulator", python("worker.simulator", "--port", "0", *arguments), {}, folder).start()
    try:
        said = until(lambda: child.said(r"(?m)^simulated upstream on (http://127\.0\.0\.1:\d+)$"), "it listens", STARTS)
        yield Upstream(said[1])
    except BaseException:
        child.kill()
        raise
    assert child.stop() == 0, child.log
