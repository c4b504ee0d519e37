"""A simulated upstream in a process of its own, and the real SDK to talk to it."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import pytest


@dataclass(frozen=True)
class Upstream:
    """Where the simulator listens."""

    url: str

    def client(self, timeout: float = 5.0) -> anthropic.AsyncAnthropic:
        """The real SDK, without retries of its own."""
        return anthropic.AsyncAnthropic(base_url=self.url, api_key="sk-not-a-key", max_retries=0, timeout=timeout)

    def records(self, user_id: str) -> list[dict[str, Any]]:
        """What the simulator noted about one client, oldest first."""
        found: list[dict[str, Any]] = httpx2.get(f"{self.url}/_sim/requests", params={"user_id": user_id}).json()
        return found

    def closed_record(self, user_id: str, within: float = 3.0) -> dict[str, Any]:
        """The client's newest record, once it is closed."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            records = self.records(user_id)
            if records and records[-1]["closed_by"]:
                return records[-1]
            time.sleep(0.01)
        raise AssertionError(f"no closed record of {user_id} within {within} s")


@dataclass
class Said:
    """What one streamed answer came to: the events, the text, and the exception that ended it."""

    types: list[str]
    text: str
    stop_reason: str | None
    error: BaseException | None


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """One simulator for all tests; each test is told apart by its own user id."""
    command = [sys.executable, "-m", "worker.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.startswith("simulated upstream on http://127.0.0.1:"), line
            yield Upstream(line.removeprefix("simulated upstream on "))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def user_id() -> str:
    """A client that nobody else is."""
    return f"user-{uuid.uuid4()}"


def say(
    upstream: Upstream, model: str, user_id: str, messages: list[Any] | None = None, timeout: float = 5.0, **extra: Any
) -> Said:
    """Streams one answer with the real SDK, raw events, to its end or its exception. Bounded by 15 s."""

    async def run() -> Said:
        said = Said([], "", None, None)
        async with asyncio.timeout(15), upstream.client(timeout) as client:
            try:
                stream = await client.messages.create(
                    model=model,
                    max_tokens=extra.pop("max_tokens", 4096),
                    messages=messages or [{"role": "user", "content": "Hello"}],
                    metadata={"user_id": user_id},
                    stream=True,
                    **extra,
                )
                async for event in stream:
                    said.types.append(event.type)
                    if event.type == "content_block_delta" and event.delta.type == "text_delta":
                        said.text += event.delta.text
                    elif event.type == "message_delta":
                        said.stop_reason = event.delta.stop_reason
            except Exception as error:
                said.error = error
        return said

    return asyncio.run(run())
