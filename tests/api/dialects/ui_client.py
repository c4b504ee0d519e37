"""The AI SDK's reader of a UI message stream, as small as it can be, with all that makes it fail (`processUIMessageStream` of
`ai` 7): what the real one does with the same chunks, tests/interop asks it itself."""

from collections.abc import Iterable
from typing import Any

import orjson

Json = dict[str, Any]


class Fatal(Exception):
    """The client raises an error to its user."""


class Reader:
    """`parts`: those of the message so far. `ended`: by which chunk."""

    def __init__(self) -> None:
        self.parts: list[Json] = []
        self.active: dict[tuple[str, str], Json] = {}
        self.id: str | None = None
        self.ended = ""
        self.chunks = 0

    def read(self, frames: Iterable[bytes]) -> "Reader":
        for frame in b"".join(frames).split(b"\n\n")[:-1]:
            data = frame.partition(b"\nid: ")[0].removeprefix(b"data: ")
            self.take(orjson.loads(data))
        return self

    def take(self, chunk: Json) -> None:
        assert not self.ended, "something is behind the end"
        self.chunks += 1
        kind, _, what = chunk["type"].rpartition("-")
        match kind, what:
            case "", "start":
                self.id = chunk.get("messageId")
            case "", "finish" | "abort":
                self.ended = what
            case "", "error":
                raise Fatal(chunk["errorText"])
            case "start", "step":
                self.parts.append({"type": "step-start"})
            case "finish", "step":
                pass
            case "reset", "step":
                while self.parts and self.parts[-1]["type"] != "step-start":
                    self.parts.pop()
                self.active.clear()
            case "text" | "reasoning", "start":
                assert (kind, chunk["id"]) not in self.active
                self.active[kind, chunk["id"]] = part = {"type": kind, "text": ""}
                self.parts.append(part)
            case "text" | "reasoning", "delta":
                self.active[kind, chunk["id"]]["text"] += chunk["delta"]
            case "text" | "reasoning", "end":
                del self.active[kind, chunk["id"]]
            case "source", "url" | "document":
                self.parts.append(chunk)
            case "tool-input", "start":
                self.parts.append({"type": "tool", "id": chunk["toolCallId"], "raw": "", "state": "streaming"})
            case "tool-input", "delta":
                self.tool(chunk)["raw"] += chunk["inputTextDelta"]
            case "tool-input", "available":
                self.tool(chunk).update(
                    state="available", input=chunk["input"], here=bool(chunk.get("providerExecuted"))
                )
            case (("tool-input" | "tool-output"), "error"):
                self.tool(chunk).update(state="error", error=chunk["errorText"])
            case "tool-output", "available":
                self.tool(chunk).update(state="output", output=chunk["output"])
            case _:
                raise Fatal(f"unknown: {chunk['type']}")

    def tool(self, chunk: Json) -> Json:
        return next(part for part in reversed(self.parts) if part.get("id") == chunk["toolCallId"])

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.parts if part["type"] == "text")
