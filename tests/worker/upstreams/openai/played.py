"""What the simulator plays in OpenAI's two APIs, without a socket: requests as they are written, answers as bytes."""

from typing import Any, Final

import orjson

from broker.events import Content, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from worker.simulator.answer import compose
from worker.simulator.openai_chat import unfinished
from worker.simulator.plan import parse_model
from worker.simulator.script import Act, Scene
from worker.simulator.tongue import CHAT, RESPONSES, Tongue
from worker.upstreams import Json
from worker.upstreams.frames import Splitter
from worker.upstreams.openai.chat_answer import ChatTranslator
from worker.upstreams.openai.client import Api, Translator, chat, responses

APIS: Final[dict[str, Api]] = {"responses": responses(), "chat": chat(newest=False)}
TONGUES: Final[dict[str, Tongue]] = {"responses": RESPONSES, "chat": CHAT}
unfinished_chat = unfinished


def body(model: str, **fields: object) -> Json:
    return {
        "model": model,
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Tell me something."}],
        **fields,
    }


def scene(api: str, request: Json, *, stream: bool = True) -> Scene:
    """How the simulator takes the request that is made of this one."""
    written: dict[str, Any] = {**APIS[api].ask(request), **(APIS[api].streaming if stream else {})}
    asked = TONGUES[api].parse(orjson.dumps(written))
    plan = parse_model(asked.model)
    return Scene(plan, asked, compose(plan, asked), plan.fault, "msg_1")


def streamed(api: str, of: Scene) -> bytes:
    """The whole body of the answer; a fault ends it."""
    frames = [TONGUES[api].opening(of)]
    for step in TONGUES[api].steps(of):
        if step.act is Act.FAULT:
            break
        counts = step.act in (Act.TOKEN, Act.TEXT)
        frames.append(step.data + orjson.dumps(step.text) + step.end if counts else step.data)
    return b"".join(frames)


def whole(api: str, of: Scene) -> Json:
    return TONGUES[api].whole(of)


def entries(translator: Translator, *parts: bytes) -> list[Content]:
    """What becomes of the bytes, as in the client."""
    splitter, found = Splitter(), []
    for part in parts:
        for _, text in splitter.feed(part):
            found += translator.end() if text == b"[DONE]" else translator.feed(orjson.loads(text))
    return found + translator.end()


def translated(
    api: str, *parts: bytes, keep_blocks: int = 0, new_turn: bool = False
) -> tuple[list[Content], Translator]:
    translator = APIS[api].translator(keep_blocks, "", new_turn)
    return entries(translator, *parts), translator


def chunks(*deltas: Json, finish: str | None = "stop", **last: object) -> tuple[list[Content], ChatTranslator]:
    """What becomes of these deltas, each in a chunk of its own, and of the last one, which says why it ends."""
    translator = ChatTranslator()
    found: list[Content] = []
    for delta in deltas:
        found += translator.feed({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]})
    if finish is not None:
        choice = {"index": 0, "delta": {}, "finish_reason": finish}
        found += translator.feed({"id": "c1", "model": "m", "choices": [choice], **last})
    return found + translator.end(), translator


def shown(contents: list[Content]) -> list[tuple[str, object]]:
    """Entries as a reader of tests reads them: a delta by its kind and text, an event by its type and fields."""
    found: list[tuple[str, object]] = []
    for kind, value in contents:
        if kind == b"j":
            event = orjson.loads(value)
            found.append((event.pop("type"), event))
        else:
            found.append((kind.decode(), value.decode()))
    return found


def content(contents: list[Content]) -> list[dict[str, object]]:
    """The blocks that a reader has at the end."""
    return Transcript(Entry(EntryId(1, seq), *each) for seq, each in enumerate(contents)).content
