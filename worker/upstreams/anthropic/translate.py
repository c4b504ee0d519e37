"""From the upstream's events to entries. Pure, one translator per attempt.

Nothing that upstream sends is lost: what has no name of its own in our vocabulary is passed on whole, as `block_delta` or
`upstream`. Pings are no content and leave no entry.
"""

from broker.events import TEXT, THINKING, TOOL_INPUT, Content, event
from worker.upstreams import Json
from worker.upstreams.malformed import MalformedEvent


class Translator:
    """`keep_blocks`, `unshown` and `new_turn` as in a Call: `unshown` is white space, as the upstream refuses a partial
    answer that ends in it."""

    def __init__(self, keep_blocks: int = 0, unshown: str = "", *, new_turn: bool = False) -> None:
        self._next_block = keep_blocks
        self._continues = keep_blocks > 0 and not new_turn
        self._overlap = unshown
        self._blocks: dict[int, int] = {}
        self._open = -1
        self.usage: Json = {}
        self.stop_reason: str | None = None
        self.stopped = False
        """`message_stop` has come."""

    def feed(self, data: Json) -> list[Content]:
        """The entries for one upstream event. Raises MalformedEvent."""
        try:
            match data["type"]:
                case "content_block_delta":
                    return self._delta(data["index"], data["delta"])  # type: ignore[arg-type]
                case "content_block_start":
                    return self._block_start(data["index"], data["content_block"])  # type: ignore[arg-type]
                case "content_block_stop":
                    self._open = -1
                    return [event("block_stop", index=self._blocks[data["index"]])]  # type: ignore[index]
                case "message_start":
                    return self._message(data["message"])  # type: ignore[arg-type]
                case "message_delta":
                    return self._message_delta(data)
                case "message_stop":
                    self.stopped = True
                    return []
                case "ping":
                    return []
                case _:
                    return [event("upstream", event=data)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedEvent(error) from error

    def _delta(self, index: int, delta: Json) -> list[Content]:
        kind = delta["type"]
        if index != self._open:
            return [event("block_delta", index=self._blocks[index], delta=delta)]
        match kind:
            case "text_delta":
                return _deltas(TEXT, self._without_overlap(delta["text"]))  # type: ignore[arg-type]
            case "thinking_delta":
                return _deltas(THINKING, delta["thinking"])  # type: ignore[arg-type]
            case "input_json_delta":
                return _deltas(TOOL_INPUT, delta["partial_json"])  # type: ignore[arg-type]
            case "signature_delta":
                return [event("signature", signature=delta["signature"])]
            case "citations_delta":
                return [event("citation", citation=delta["citation"])]
        return [event("block_delta", index=self._blocks[index], delta=delta)]

    def _without_overlap(self, text: str) -> str:
        if self._overlap:
            same = 0
            for ours, theirs in zip(self._overlap, text, strict=False):
                if ours != theirs:
                    break
                same += 1
            self._overlap = self._overlap[same:] if same == len(text) else ""
            text = text[same:]
        return text

    def _block_start(self, index: int, block: Json) -> list[Content]:
        position = self._next_block
        if self._continues:
            self._continues = False
            if block["type"] == "text":
                position -= 1  # the interrupted text goes on
            else:
                self._overlap = ""
        self._next_block = position + 1
        self._blocks[index], self._open = position, index
        early = block["text"] if block["type"] == "text" else ""
        head = {**block, "text": ""} if early else block
        return [event("block_start", index=position, block=head), *_deltas(TEXT, self._without_overlap(str(early)))]

    def _message(self, message: Json) -> list[Content]:
        self.usage = dict(message.get("usage") or {})  # type: ignore[call-overload]
        return [event("message", message={key: value for key, value in message.items() if key != "content"})]

    def _message_delta(self, data: Json) -> list[Content]:
        given = {key: value for key, value in data.get("usage", {}).items() if value is not None}  # type: ignore[attr-defined]
        self.usage = {**self.usage, **given}
        delta: Json = data.get("delta", {})  # type: ignore[assignment]
        if (reason := delta.get("stop_reason")) is not None:
            self.stop_reason = str(reason)
        fields = {key: value for key, value in (*delta.items(), *data.items()) if key not in ("type", "delta")}
        return [event("usage", **fields)]


def _deltas(kind: bytes, text: str) -> list[Content]:
    """One entry, or none for an empty delta, which would be an event that says nothing."""
    return [Content(kind, text.encode())] if text else []
