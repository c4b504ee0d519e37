"""What the real SDK gets from a simulator in another process."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import orjson
import pytest

from tests.simulator.process import simulated
from tests.simulator.sdk import Upstream, say

HELLO: list[Any] = [{"role": "user", "content": "Hello, how are you?"}]
FAST = "sim-1?ttft_ms=0&tps=0"


def final(upstream: Upstream, model: str, **more: Any) -> anthropic.types.Message:
    """The final message of the SDK's own stream helper."""

    async def run() -> anthropic.types.Message:
        async with asyncio.timeout(10), upstream.client() as client:
            request = {"model": model, "max_tokens": 1000, "messages": HELLO, **more}
            async with client.messages.stream(**request) as stream:
                return await stream.get_final_message()

    return asyncio.run(run())


def whole(upstream: Upstream, model: str, **more: Any) -> anthropic.types.Message:
    """The message of a request that does not stream."""

    async def run() -> anthropic.types.Message:
        async with asyncio.timeout(10), upstream.client() as client:
            request = {"model": model, "max_tokens": 1000, "messages": HELLO, **more}
            message: anthropic.types.Message = await client.messages.create(**request)
            return message

    return asyncio.run(run())


def post(upstream: Upstream, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> httpx2.Response:
    """A request without the SDK."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {"x-api-key": "k"} if headers is None else headers
    return httpx2.post(f"{upstream.url}/v1/messages", content=content, headers=headers, timeout=5)


def test_a_newcomers_prompt_to_a_real_models_name_gets_an_answer_that_says_it_is_simulated(upstream: Upstream) -> None:
    message = whole(upstream, "claude-opus-5-5?ttft_ms=0&tps=0")
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("> **Simulated answer.** No model was called; `claude-opus-5-5`")
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 120


def test_thinking_text_citations_and_tool_use_parse_with_the_sdks_helper(upstream: Upstream) -> None:
    message = final(upstream, f"{FAST}&thinking=1&citations=1&tool=look_up")
    thinking, text, tool = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking.startswith("Let me think.")
    assert thinking.signature
    assert text.type == "text"
    assert len(text.citations or []) == 12
    assert tool.type == "tool_use"
    assert tool.name == "look_up"
    assert tool.input["limit"] == 3
    assert message.stop_reason == "tool_use"


def test_streamed_and_not_the_message_is_the_same(upstream: Upstream) -> None:
    model = f"{FAST}&thinking=1&citations=1&tool=look_up&seed=9"
    streamed, at_once = final(upstream, model).to_dict(), whole(upstream, model).to_dict()

    def bare(message: dict[str, Any]) -> dict[str, Any]:
        content = [{key: value for key, value in block.items() if key != "id"} for block in message["content"]]
        return {key: value for key, value in message.items() if key != "id"} | {"content": content}

    def without_estimates(message: dict[str, Any]) -> dict[str, Any]:
        return message | {"usage": message["usage"] | {"input_tokens": 0}}

    assert without_estimates(bare(streamed)) == without_estimates(bare(at_once))


def test_echo_says_the_prompt_word_by_word(upstream: Upstream, user_id: str) -> None:
    said = say(upstream, f"{FAST}&echo=1", user_id, HELLO)
    assert said.text == "Hello, how are you?"
    assert said.types.count("content_block_delta") == 6  # `,` and `?` are words too


def test_max_tokens_ends_the_answer(upstream: Upstream, user_id: str) -> None:
    said = say(upstream, FAST, user_id, max_tokens=7)
    assert said.types.count("content_block_delta") == 7
    assert said.stop_reason == "max_tokens"


def test_the_pace_is_the_one_asked_for(upstream: Upstream, user_id: str) -> None:
    say(upstream, "sim-1?ttft_ms=200&tps=100&tokens=30", user_id)
    record = upstream.closed_record(user_id)
    assert 0.195 <= record["first_token_at"] - record["at"] < 2
    assert 0.28 <= record["closed_at"] - record["first_token_at"] < 2


def test_a_stamp_is_the_monotonic_time_of_writing(upstream: Upstream, user_id: str) -> None:
    before = time.monotonic_ns()
    said = say(upstream, f"{FAST}&stamp=1&tokens=1", user_id)
    assert before < int(said.text.split(" ")[0]) < time.monotonic_ns()
    assert upstream.closed_record(user_id)["tokens"] == 1


def test_pings_come_while_nothing_else_does(upstream: Upstream) -> None:
    body = {"model": "sim-1?ttft_ms=300&tps=0&pings=50", "max_tokens": 10, "stream": True, "messages": HELLO}
    response = post(upstream, body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["request-id"].startswith("req_")
    assert response.text.partition("content_block_start")[0].count("event: ping") >= 4


def test_a_client_that_goes_away_is_noticed_at_once(upstream: Upstream, user_id: str) -> None:
    async def leave() -> int:
        async with asyncio.timeout(10), upstream.client() as client:
            stream = await client.messages.create(
                model="sim-1?ttft_ms=0&tps=100&tokens=1000",
                max_tokens=1000,
                messages=HELLO,
                metadata={"user_id": user_id},
                stream=True,
            )
            async for event in stream:
                if event.type == "content_block_delta":
                    break
            await stream.close()
            return time.monotonic_ns()

    left = asyncio.run(leave())
    record = upstream.closed_record(user_id)
    assert record["closed_by"] == "client"
    assert abs(record["closed_ns"] - left) < 500_000_000
    assert 1 <= record["tokens"] < 100


def test_many_answers_use_one_connection(upstream: Upstream, user_id: str) -> None:
    with httpx2.Client(headers={"x-api-key": "k"}) as client:
        for streamed in (True, False, True):
            body = {"model": FAST, "max_tokens": 5, "stream": streamed, "messages": HELLO}
            body["metadata"] = {"user_id": user_id}
            assert client.post(f"{upstream.url}/v1/messages", json=body).status_code == 200
    assert len({record["connection"] for record in upstream.records(user_id)}) == 1


def test_a_slow_reader_holds_back_the_writer_and_gets_everything(upstream: Upstream, user_id: str) -> None:
    body = {"model": f"{FAST}&tokens=60000", "max_tokens": 60_000, "stream": True, "messages": HELLO}
    body["metadata"] = {"user_id": user_id}
    with httpx2.stream(
        "POST", f"{upstream.url}/v1/messages", json=body, headers={"x-api-key": "k"}, timeout=10
    ) as response:
        read = response.iter_bytes()
        received = [next(read)]
        stuck = _until_it_stands_still(upstream, user_id)
        assert 0 < stuck < 60_000
        received += read
    assert b"".join(received).count(b"text_delta") == 60_000


def _until_it_stands_still(upstream: Upstream, user_id: str) -> int:
    """How many tokens were sent when no more were for 0.2 s."""
    sent, before = -1, -2
    for _ in range(50):
        if sent == before:
            break
        time.sleep(0.2)
        before, sent = sent, int(upstream.records(user_id)[-1]["tokens"])
    return sent


@pytest.mark.parametrize("headers", [{"x-api-key": "sk-secret"}, {"authorization": "Bearer sk-secret"}])
def test_any_key_will_do_and_none_is_written_down(upstream: Upstream, user_id: str, headers: dict[str, str]) -> None:
    body = {"model": FAST, "max_tokens": 5, "messages": HELLO, "metadata": {"user_id": user_id}}
    assert post(upstream, body, headers).status_code == 200
    record = upstream.closed_record(user_id)
    assert record["body"] == body
    assert record["headers"][next(iter(headers))] == "***"
    assert "sk-secret" not in str(record)


def test_no_key_is_401(upstream: Upstream) -> None:
    response = post(upstream, {"model": FAST, "max_tokens": 5, "messages": HELLO}, {})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "sim-1"}', b'{"model": "\xff"}'])
def test_a_bad_body_is_400_and_the_server_lives_on(upstream: Upstream, body: bytes) -> None:
    response = post(upstream, body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert httpx2.get(f"{upstream.url}/_sim/health").json()["status"] == "ok"


def test_other_paths_and_methods_are_refused(upstream: Upstream) -> None:
    assert httpx2.get(f"{upstream.url}/v1/messages").status_code == 405
    assert httpx2.get(f"{upstream.url}/elsewhere").status_code == 404


def test_records_are_found_by_model_written_to_a_file_and_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    with simulated(tmp_path, "--record", str(file)) as upstream:
        for model in (FAST, f"{FAST}&seed=1"):
            assert say(upstream, model, "somebody").stop_reason == "end_turn"
        found = httpx2.get(f"{upstream.url}/_sim/requests", params={"model": FAST}).json()
        assert [record["model"] for record in found] == [FAST]
        assert httpx2.delete(f"{upstream.url}/_sim/requests").status_code == 204
        assert upstream.records("somebody") == []
    assert [orjson.loads(line)["closed_by"] for line in file.read_bytes().splitlines()] == ["server"] * 2


def test_a_port_in_use_is_said_plainly(upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    command = [sys.executable, "-m", "worker.simulator", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr
