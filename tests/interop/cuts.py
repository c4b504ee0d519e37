"""Generations behind proxies that cut them: what a client joins is compared with what they were."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.harness.client import Client
from tests.harness.cutting import ALL, Cut, CuttingProxy
from tests.harness.stack import Stack
from worker.simulator.text import markdown

TOKENS: Final = 400
SEEDS: Final = range(6)
_CUTS: Final = 12
"""Of the first connections of each: 72 in all, unless an end comes first, or the client closes one itself."""
_MOST_BYTES: Final = 5000


@dataclass(frozen=True, slots=True)
class CutStreams:
    """`urls` are the API's through a proxy of its own for each of the generations `ids`."""

    ids: list[str]
    urls: list[str]

    def at(self, path: str = "/v1/generations/{}/events") -> list[str]:
        """The URLs of that path of each, where `{}` is its id."""
        return [url + path.format(id_) for url, id_ in zip(self.urls, self.ids, strict=True)]


@contextmanager
def cut_streams(
    client: Client, stack: Stack, *, kinds: Sequence[Cut] = ALL, cuts: int = _CUTS, least: int = 50,
    least_bytes: int = 1,
) -> Iterator[CutStreams]:  # fmt: skip
    """Fails the test, once the client is done, unless at least so many of its connections were cut."""
    made = [client.submit(f"sim-1?tps=300&ttft_ms=20&tokens={TOKENS}&seed={seed}&thinking=1").id for seed in SEEDS]
    with ExitStack() as proxies:
        cutting = [
            proxies.enter_context(
                CuttingProxy(
                    stack.urls,
                    seed=seed,
                    cuts=cuts,
                    most_bytes=_MOST_BYTES,
                    kinds=kinds,
                    least_bytes=least_bytes,
                )
            )
            for seed in SEEDS
        ]
        yield CutStreams(made, [proxy.url for proxy in cutting])
        cut_so = sum((proxy.cut_so for proxy in cutting), Counter[Cut]())
        print("cut:", dict(cut_so))
        assert cut_so.total() >= least


def judge(client: Client, id_: str, seed: int, seen: dict[str, Any]) -> None:
    """Fails the test unless this is all of the log, and nothing twice: `text`, the `ids` in their order, the `end`."""
    whole = [frame for frame in client.events(id_) if frame.id]
    assert seen["text"] == "".join(markdown(seed, TOKENS)) == client.record(id_)["text"]
    assert seen["ids"] == [frame.id for frame in whole]
    assert seen["end"] == whole[-1].data
    assert seen["gaps"] == 0
