"""From the events of the Responses API to entries. Pure, one translator per attempt.

An item of the output is a block: a message is text, reasoning is thinking, a function call a tool_use. Events that only repeat
what others have said give no entry; whatever has no name here is passed on whole, as `upstream`.
"""

from typing import cast

from broker.events import TEXT, THINKING, TOOL_INPUT, Content, event
from worker.upstreams import Json
from worker.upstreams.malformed import MalformedEvent
from worker.upstreams.openai.blocks import Block, Blocks
from worker.upstreams.openai.failures import mid_stream
from worker.upstreams.openai.words import message, usage_of

_REPEATED = frozenset((
    "response.queued", "response.in_progress", "response.output_text.done", "response.refusal.done",
    "response.content_part.added", "response.content_part.done", "response.function_call_arguments.done",
    "response.reasoning_text.done", "response.reasoning_summary_text.done", "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
))  # fmt: skip
_REASONS = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
_PARTS = "\n\n"
"""Between the parts of a summary, which are paragraphs."""


class ResponsesTranslator:
    """`keep_blocks`, `unshown` and `new_turn` as in a Call."""

    def __init__(self, keep_blocks: int = 0, unshown: str = "", new_turn: bool = False) -> None:
        self._blocks = Blocks(keep_blocks, unshown, new_turn)
        self._items: dict[int, Block] = {}
        self._part: dict[int, int] = {}
        self._refuses = False
        self._beginning: Json | None = None
        self.usage: Json = {}
        self.stop_reason: str | None = None
        self.stopped = False
        """The event behind which nothing comes has come."""

    @property
    def finished(self) -> bool:
        """The answer is complete; what it has cost has come with its end."""
        return self.stopped

    def feed(self, data: Json) -> list[Content]:
        """The entries for one event. Raises MalformedEvent, and UpstreamFailure for an error of the upstream's."""
        try:
            return self._entries(str(data["type"]), data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedEvent(error) from error

    def end(self) -> list[Content]:
        """What is left to say when the answer has ended: nothing."""
        return []

    def whole(self, answer: Json) -> list[Content]:
        """The entries of an answer that was not streamed. Raises as `feed` does."""
        try:
            items = list(enumerate(cast("list[Json]", answer.get("output") or ())))
            status = answer.get("status")
        except (TypeError, AttributeError) as error:
            raise MalformedEvent(error) from error
        entries = self.feed({"type": "response.created", "response": answer})
        for index, item in items:
            for name in ("added", "done"):
                entries += self.feed({"type": f"response.output_item.{name}", "output_index": index, "item": item})
        return entries + self.feed({"type": f"response.{status}", "response": answer})

    def _entries(self, type_: str, data: Json) -> list[Content]:
        match type_:
            case "response.output_text.delta" | "response.function_call_arguments.delta":
                return self._delta(data)
            case "response.reasoning_summary_text.delta":
                return self._thought(data, cast(int, data["summary_index"]))
            case "response.reasoning_text.delta":
                return self._thought(data, cast(int, data["content_index"]))
            case "response.refusal.delta":
                self._refuses = True
                return self._delta(data)
            case "response.output_item.added":
                return self._started(cast(int, data["output_index"]), cast(Json, data["item"])) or self._other(data)
            case "response.output_item.done":
                return self._done(cast(int, data["output_index"]), cast(Json, data["item"])) or self._other(data)
            case "response.output_text.annotation.added":
                block = self._items[cast(int, data["output_index"])]
                return [*self._blocks.reopened(block), event("citation", citation=data["annotation"])]
            case "response.created":
                # Kept until there is something to show: an answer that fails before has not begun.
                self._beginning = cast(Json, data["response"])
                return []
            case "response.completed" | "response.incomplete":
                return self._ended(cast(Json, data["response"]))
            case "response.failed":
                raise mid_stream(cast(Json, data["response"]).get("error"))
            case "error":
                raise mid_stream(data.get("error") or data)
        return [] if type_ in _REPEATED else self._other(data)

    def _delta(self, data: Json) -> list[Content]:
        block = self._items[cast(int, data["output_index"])]
        return self._blocks.add(block, cast(str, data["delta"]))

    def _thought(self, data: Json, part: int) -> list[Content]:
        index = cast(int, data["output_index"])
        block, before = self._items[index], self._part.get(index, part)
        self._part[index] = part
        entries = self._blocks.add(block, _PARTS) if part != before and block.written else []
        return entries + self._blocks.add(block, cast(str, data["delta"]))

    def _started(self, index: int, item: Json) -> list[Content]:
        """Of an item that is a block; none for any other."""
        head: Json
        match item["type"]:
            case "message":
                kind, head = TEXT, {"type": "text", "text": ""}
            case "reasoning":
                kind, head = THINKING, {"type": "thinking", "thinking": "", "signature": "", "id": item["id"]}
            case "function_call":
                kind, head = TOOL_INPUT, {"type": "tool_use", "id": item["call_id"], "name": item["name"], "input": {}}
            case _:
                return []
        entries = self._begun() + self._blocks.start(kind, head)
        assert self._blocks.open is not None
        self._items[index] = self._blocks.open
        return entries

    def _done(self, index: int, item: Json) -> list[Content]:
        """A block is complete. What no delta has said of it is said now."""
        block = self._items.get(index)
        if block is None:
            return []
        entries = [] if block.written else self._blocks.add(block, self._said(item))
        if encrypted := item.get("encrypted_content"):
            entries += [*self._blocks.reopened(block), event("signature", signature=encrypted)]
        return entries + self._blocks.stop(block)

    def _said(self, item: Json) -> str:
        match item:
            case {"type": "function_call", "arguments": str(arguments)}:
                return arguments
            case {"type": "reasoning"}:
                parts = cast("list[Json]", item.get("summary") or item.get("content") or ())
                return _PARTS.join(str(part["text"]) for part in parts)
        parts = cast("list[Json]", item.get("content") or ())
        self._refuses = self._refuses or any(part["type"] == "refusal" for part in parts)
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)

    def _ended(self, response: Json) -> list[Content]:
        entries = self._begun() + self._blocks.stop_all()
        self.usage = usage_of(cast(Json, response.get("usage") or {}))
        incomplete = cast(Json, response.get("incomplete_details") or {}).get("reason")
        if response.get("status") == "incomplete":
            self.stop_reason = _REASONS.get(str(incomplete), str(incomplete or "incomplete"))
        else:
            self.stop_reason = (
                "refusal" if self._refuses else "tool_use" if self._blocks.has("tool_use") else "end_turn"
            )
        self.stopped = True
        return [*entries, event("usage", stop_reason=self.stop_reason, stop_sequence=None, usage=self.usage)]

    def _begun(self) -> list[Content]:
        beginning, self._beginning = self._beginning, None
        return [] if beginning is None else [message(beginning)]

    def _other(self, data: Json) -> list[Content]:
        told = {name: value for name, value in data.items() if name not in ("obfuscation", "response")}
        return [*self._begun(), event("upstream", event=told)]
