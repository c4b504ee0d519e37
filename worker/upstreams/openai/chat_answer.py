"""From the chunks of Chat Completions to entries. Pure, one translator per attempt.

A chunk names no block: text, reasoning and each call are told apart by where they stand in it. What is compatible differs in
small things, and what it may do is allowed for here: no `[DONE]`, no usage, usage in every chunk, `stop` behind a call,
reasoning under two names, several calls under one index. Whatever has no name here is passed on whole, as `upstream`.
"""

from typing import Final, cast

from broker.events import TEXT, THINKING, TOOL_INPUT, Content, event
from worker.upstreams import Json
from worker.upstreams.malformed import MalformedEvent
from worker.upstreams.openai.blocks import Block, Blocks
from worker.upstreams.openai.failures import mid_stream
from worker.upstreams.openai.words import message, usage_of

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_KNOWN: Final = frozenset(
    ("role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "annotations", "function_call")
)


class ChatTranslator:
    """`keep_blocks`, `unshown` and `new_turn` as in a Call."""

    def __init__(self, keep_blocks: int = 0, unshown: str = "", new_turn: bool = False) -> None:
        self._blocks = Blocks(keep_blocks, unshown, new_turn)
        self._calls: dict[int, Block] = {}
        self._refuses = False
        self._begun = False
        self._first: Json = {}
        self._finish = ""
        self.usage: Json = {}
        self.stop_reason: str | None = None
        self.stopped = False
        """The answer is complete, and what it has cost is known."""

    @property
    def finished(self) -> bool:
        """The answer is complete; its usage may follow."""
        return bool(self._finish)

    def feed(self, data: Json) -> list[Content]:
        """The entries for one chunk. Raises MalformedEvent, and UpstreamFailure for an error of the upstream's."""
        try:
            return self._entries(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedEvent(error) from error

    def end(self) -> list[Content]:
        """What is left to say behind the last chunk, `[DONE]` or not: the usage entry, if the answer is complete."""
        if self.stopped or not self._finish:
            return []
        self.stopped = True
        self.stop_reason = self._reason()
        return [event("usage", stop_reason=self.stop_reason, stop_sequence=None, usage=self.usage)]

    def whole(self, answer: Json) -> list[Content]:
        """The entries of an answer that was not streamed. Raises as `feed` does."""
        try:
            (choice,) = cast("list[Json]", answer["choices"])
            said = dict(cast(Json, choice["message"]))
            calls = [
                {**call, "index": index} for index, call in enumerate(cast("list[Json]", said.get("tool_calls") or ()))
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedEvent(error) from error
        streamed = {"index": 0, "delta": {**said, "tool_calls": calls}, "finish_reason": choice.get("finish_reason")}
        return self.feed({**answer, "choices": [streamed]}) + self.end()

    def _entries(self, data: Json) -> list[Content]:
        if data.get("error"):
            raise mid_stream(data["error"])
        entries: list[Content] = []
        if not self._first:
            self._first = data  # told when there is something to show: an answer that fails before has not begun
        for choice in cast("list[Json]", data["choices"]):
            if choice.get("index", 0) != 0:
                return self._other(data)
            if delta := cast("Json | None", choice.get("delta")):
                entries += self._said(delta)
            if reason := choice.get("finish_reason"):
                self._finish = str(reason)
                entries += [*self._beginning(), *self._blocks.stop_all()]
        if usage := data.get("usage"):
            self.usage = usage_of(cast(Json, usage))
            entries += self.end()
        return entries

    def _said(self, delta: Json) -> list[Content]:
        entries: list[Content] = []
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            entries += self._prose(THINKING, {"type": "thinking", "thinking": ""}, cast(str, reasoning))
        if content := delta.get("content"):
            entries += self._prose(TEXT, {"type": "text", "text": ""}, cast(str, content))
        if refusal := delta.get("refusal"):
            self._refuses = True
            entries += self._prose(TEXT, {"type": "text", "text": ""}, cast(str, refusal))
        for citation in cast("list[Json]", delta.get("annotations") or ()):
            entries += self._prose(TEXT, {"type": "text", "text": ""}, "")
            entries.append(event("citation", citation=citation))
        for call in cast("list[Json]", delta.get("tool_calls") or ()):
            entries += self._call(call)
        if delta.get("function_call") or any(value for name, value in delta.items() if name not in _KNOWN):
            entries += self._other(delta)
        return entries

    def _prose(self, kind: bytes, head: Json, text: str) -> list[Content]:
        """More of the text or the thinking that is open; a block of another kind, calls aside, is complete then."""
        block, entries = self._blocks.open, []
        if block is None or block.kind != kind:
            if block is not None and block.kind != TOOL_INPUT:
                entries = self._blocks.stop(block)
            entries += [*self._beginning(), *self._blocks.start(kind, head)]
            block = self._blocks.open
            assert block is not None
        return [*entries, *self._blocks.add(block, text)] if entries else self._blocks.add(block, text)

    def _call(self, call: Json) -> list[Content]:
        """A piece of the call of its index. One that brings another id and a name is another call, whatever its index."""
        index = cast(int, call.get("index", 0))
        told = cast(Json, call.get("function") or {})
        block, id_ = self._calls.get(index), call.get("id")
        entries: list[Content] = []
        if block is None or (id_ and told.get("name") and id_ != block.head["id"]):
            before = self._blocks.open
            if before is not None and before.kind != TOOL_INPUT:
                entries += self._blocks.stop(before)
            name = f"call_{len(self._blocks.all)}_{self._first.get('id')}"
            head: Json = {"type": "tool_use", "id": id_ or name, "name": str(told["name"]), "input": {}}
            entries += [*self._beginning(), *self._blocks.start(TOOL_INPUT, head)]
            block = self._blocks.open
            assert block is not None
            self._calls[index] = block
        if arguments := told.get("arguments"):
            entries += self._blocks.add(block, cast(str, arguments))
        return entries

    def _reason(self) -> str:
        reason = _REASONS.get(self._finish, self._finish)
        if self._refuses:
            return "refusal"
        # Behind a call that was demanded, OpenAI says `stop`; so do others behind any.
        return "tool_use" if reason == "end_turn" and self._calls else reason

    def _beginning(self) -> list[Content]:
        if self._begun:
            return []
        self._begun = True
        return [message(self._first)]

    def _other(self, data: Json) -> list[Content]:
        told = {name: value for name, value in data.items() if name not in ("obfuscation", "usage")}
        return [*self._beginning(), event("upstream", event=told)]
