"""The simulator's prompt cache: what was marked once is read the next time, for five minutes."""

import json
from typing import Any

from worker.simulator.caching import Cached, PromptCache

MARK = {"cache_control": {"type": "ephemeral"}}


def asked(*said: str, mark: int | None = None, model: str = "m", **fields: Any) -> bytes:
    content = [{"type": "text", "text": each} | (MARK if at == mark else {}) for at, each in enumerate(said)]
    return (
        json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **fields})
        .replace(" ", "")
        .encode()
    )


def test_a_marked_prefix_is_written_and_then_read() -> None:
    cache = PromptCache()
    assert cache.account(asked("a", "b"), 100) == Cached(0, 0)
    first = cache.account(asked("a", "b", mark=0), 100)
    assert (first.read, first.written > 0) == (0, True)
    again = cache.account(asked("a", "c", mark=0), 100)
    assert again == Cached(first.written, 0)
    longer = cache.account(asked("a", "b", "c", mark=2), 150)
    assert (longer.read, longer.read + longer.written) == (first.written, 150)


def test_another_model_or_another_text_reads_nothing() -> None:
    cache = PromptCache()
    cache.account(asked("a", mark=0), 100)
    assert cache.account(asked("a", mark=0, model="n"), 100).read == 0
    assert cache.account(asked("b", mark=0), 100).read == 0
    assert cache.account(asked("a", mark=0, system="s"), 100).read == 0


def test_a_mark_on_the_whole_request_is_one_on_its_last_block() -> None:
    cache = PromptCache()
    assert cache.account(asked("a", "b", cache_control=MARK["cache_control"]), 100) == Cached(0, 100)
    assert cache.account(asked("a", "b", mark=1), 100) == Cached(100, 0)


def test_after_five_minutes_it_is_forgotten() -> None:
    now = [0.0]
    cache = PromptCache(lambda: now[0])
    cache.account(asked("a", mark=0), 100)
    now[0] = 299.0
    assert cache.account(asked("a", mark=0), 100).read == 100
    now[0] = 599.5
    assert cache.account(asked("a", mark=0), 100).read == 0
