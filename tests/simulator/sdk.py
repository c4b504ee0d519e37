"""The real SDK, talking to a simulated upstream."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2


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


def say(
    upstream: Upstream,
    model: str,
    user_id: str,
    messages: list[Any] | None = None,
    *,
    timeout: float = 5.0,
    patience: float = 15.0,
    max_tokens: int = 4096,
) -> Said:
    """Streams one answer with the real SDK, raw events, to its end, its exception, or the end of `patience` seconds."""
    said = Said([], "", None, None)

    async def run() -> None:
        async with asyncio.timeout(patience), upstream.client(timeout) as client:
            stream = await client.messages.create(
                model=model,
                max_tokens=max_tokens,
                messages=messages or [{"role": "user", "content": "Hello"}],
                metadata={"user_id": user_id},
                stream=True,
            )
            async for event in stream:
                said.types.append(event.type)
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    said.text += event.delta.text
                elif event.type == "message_delta":
                    said.stop_reason = event.delta.stop_reason

    try:
        asyncio.run(run())
    except Exception as error:
        said.error = error
    return said
