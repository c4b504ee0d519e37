"""The naive worker: arq as it comes, the SDK's stream, one XADD of a JSON object per token, the cancel key asked each time."""

from typing import Any

import orjson
from anthropic import AsyncAnthropic
from arq.connections import RedisSettings
from arq.worker import Worker

from broker import keys
from tests.bench.naive import URL


async def startup(ctx: dict[str, Any]) -> None:
    ctx["anthropic"] = AsyncAnthropic()


async def generate(ctx: dict[str, Any], id_: str, body: dict[str, Any]) -> None:
    redis, seq = ctx["redis"], 0

    async def append(**fields: Any) -> None:
        await redis.xadd(keys.log(id_), {"data": orjson.dumps({**fields, "seq": seq})}, maxlen=100_000)

    async with await ctx["anthropic"].messages.create(max_tokens=100_000, stream=True, **body) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                seq += 1
                await append(type="text", text=event.delta.text)
                if await redis.exists(f"{id_}:cancel"):
                    break
    await append(type="stream_end", status="completed")
    await redis.expire(keys.log(id_), 3600)


def main() -> None:
    print("worker ready", flush=True)
    Worker(
        [generate], redis_settings=RedisSettings.from_dsn(URL), on_startup=startup, max_jobs=200, handle_signals=True
    ).run()


if __name__ == "__main__":
    main()
