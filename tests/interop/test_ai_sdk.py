"""The AI SDK's own clients, of three versions, as they are: `useChat` and its transport over a network that cuts it, several
readers, the stop; and the one that goes on by the number of a chunk."""

from typing import Any, Final

import orjson
import pytest

from api.dialects.ui import chunks_of
from tests.harness.client import Client
from tests.harness.cutting import ALL, CuttingProxy
from tests.harness.stack import Stack
from tests.interop.programs import Programs

pytestmark = pytest.mark.interop
VERSIONS: Final = ("5", "6", "7")
STORY: Final = "sim-1?tps=300&ttft_ms=20&tokens=400&thinking=1&seed={}"


def run(programs: Programs, name: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = programs.run(name, *arguments, node=programs.newer)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_page_that_is_cut_and_opened_anew_has_the_whole_answer_once(
    client: Client, shared: Stack, programs: Programs, version: str
) -> None:
    with CuttingProxy(shared.urls, seed=int(version), cuts=8, most_bytes=2500) as proxy:
        seen = run(programs, "ai_resume", version, proxy.url, STORY.format(version))
        assert proxy.cut >= 1
    record = client.record(seen["id"])
    assert (seen["count"], seen["text"]) == (2, record["text"])
    assert seen["reasoning"] == record["content"][0]["thinking"] != ""
    assert seen["opened"] > 1


@pytest.mark.parametrize("version", VERSIONS)
def test_two_readers_have_the_same_and_a_stop_ends_both(
    client: Client, shared: Stack, programs: Programs, version: str
) -> None:
    seen = run(programs, "ai_viewers", version, shared.url, "sim-1?tps=80&ttft_ms=0&tokens=3000")
    first, second = seen["texts"]
    id_ = seen["stopped"]["generation"]
    assert first == second == client.record(id_)["text"]
    assert seen["ids"] == [id_, id_]
    assert seen["statuses"] == ["ready", "ready"]
    assert client.record(id_)["state"] == "cancelled"


@pytest.mark.parametrize("seed", range(4))
def test_who_counts_chunks_goes_on_exactly_behind_the_last_one_however_it_is_cut(
    client: Client, shared: Stack, programs: Programs, seed: int
) -> None:
    with CuttingProxy(shared.urls, seed=seed, cuts=15, most_bytes=6000, kinds=ALL) as proxy:
        seen = run(programs, "ai_workflow", "whole", proxy.url, STORY.format(seed))
        assert proxy.cut > 5
    assert seen["errors"] == []
    assert seen["status"] == "ready"
    assert seen["text"] == client.record(seen["id"])["text"]
    whole = client.http.get(f"/api/chat/{seen['id']}/stream", params={"startIndex": 0}).content
    assert seen["ended"] == [len(chunks_of(whole.removeprefix(b": ka\n"))) - 1], "all but [DONE]"


def test_who_counts_from_the_end_or_comes_when_all_is_over_stops(
    client: Client, shared: Stack, programs: Programs
) -> None:
    done = client.submit("sim-1?tps=0&ttft_ms=0&tokens=30")
    cancelled = client.submit("sim-1?tps=20&tokens=2000")
    client.cancel(cancelled.id)
    client.events(done.id)
    client.events(cancelled.id)
    tail = run(programs, "ai_workflow", "-4", shared.url, "", done.id)
    assert [each["type"] for each in tail["chunks"]][-2:] == ["finish-step", "finish"]
    assert tail["requests"] == 1
    over = run(programs, "ai_workflow", "1", shared.url, "", cancelled.id)
    assert [each["type"] for each in over["chunks"]][-1] == "finish", "behind the abort, which it takes for no end"
    assert over["requests"] <= 3
    assert orjson.dumps(over["chunks"]).count(b'"finish"') == 1


def test_over_a_websocket_a_chat_is_resumed_watched_and_stopped(
    client: Client, shared: Stack, programs: Programs
) -> None:
    with CuttingProxy(shared.urls, seed=7, cuts=8, most_bytes=9000) as proxy:
        seen = run(
            programs, "ai_websocket", shared.url, proxy.url, STORY.format(7), "sim-1?tps=80&ttft_ms=0&tokens=3000"
        )  # fmt: skip
        assert proxy.cut >= 3
    assert seen["text"] == client.record(seen["id"])["text"] != ""
    assert seen["opened"] > 1
    assert seen["over"] is None
    first, second = seen["ids"]
    assert first == second
    record = client.record(first)
    assert (record["state"], seen["statuses"]) == ("cancelled", ["ready", "ready"])
    assert record["text"] == seen["watched"]
    assert record["text"].startswith(seen["stopped"])
