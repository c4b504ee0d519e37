"""A generation with server tools: what comes next, from the blocks of its log. Pure.

    turn     what the model says in one answer, then the results of the server tools that it asked for, in the order in which
             they ended
    round    a turn whose calls of server tools all have results, so that the model is asked again
    blocks   text tool_use tool_use tool_result tool_result | text tool_use tool_result | text
             turn 1, a round                                  turn 2, a round             turn 3

The same function decides while an attempt runs and where the next one takes over: a result that is in the log is the result,
whoever asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.record import Ending
from broker.request import Options
from broker.tools.loading import Tool
from broker.transcript import Block, Transcript
from worker.upstreams import Call, Json, Resumed

RESULT = "tool_result"
_EXCEEDED = Ending.failed("tool_rounds_exceeded", "The model asked for tools once more than is allowed.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call of a tool that the model asks for: the `tool_use` block of this `index`."""

    index: int
    id: str
    name: str
    input: object


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model."""

    call: Call


@dataclass(frozen=True, slots=True)
class Use:
    """Run these tools side by side."""

    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Over:
    """The generation is at its end."""

    ending: Ending


Step = Ask | Use | Over


@dataclass(frozen=True, slots=True)
class Turn:
    """`first` is the index of its first block."""

    first: int
    said: tuple[Block, ...]
    results: tuple[Block, ...]

    @property
    def whole(self) -> bool:
        """Whether the model had ended it: before that no tool is begun."""
        return bool(self.results) or any(block.told for block in self.said)

    @property
    def calls(self) -> list[Wanted]:
        return [
            Wanted(self.first + place, str(block.head.get("id")), str(block.head.get("name")), _input(block))
            for place, block in enumerate(self.said)
            if block.type == "tool_use"
        ]


def turns(blocks: Sequence[Block]) -> list[Turn]:
    """The turns that these blocks are; the last may not be whole."""
    found: list[Turn] = []
    first, at = 0, 0
    while at < len(blocks):
        while at < len(blocks) and blocks[at].type != RESULT:
            at += 1
        results = at
        while at < len(blocks) and blocks[at].type == RESULT:
            at += 1
        found.append(Turn(first, tuple(blocks[first:results]), tuple(blocks[results:at])))
        first = at
    return found


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a request with server tools asks for. `body`: what the model is asked first, with the tools `offered` among its
    `tools`; `clients`: the names of the others, which the client runs. `most`: rounds."""

    body: Json
    offered: frozenset[str]
    clients: frozenset[str]
    most: int

    def begin(self, transcript: Transcript, resumed: Resumed) -> tuple[Step, int]:
        """The first step of an attempt that may go on from what is in the log, and how many blocks of that it keeps: the
        rounds, a turn that was whole, and what `resumed` can go on from of one that was not."""
        found = turns(transcript.blocks)
        if found and found[-1].whole:
            return self._behind(found), len(transcript.blocks)
        first = found[-1].first if found else 0
        body = self._asking(found[:-1])
        kept = transcript.kept(first)
        if kept is not None and (call := resumed(body, kept)) is not None:
            return Ask(call), kept.blocks
        return Ask(Call(body, first, new_turn=first > 0)), first

    def after_answer(self, blocks: Sequence[Block], before: int, stop_reason: str) -> Step:
        """Behind an answer that has reached its end; there were `before` blocks when the model was asked."""
        if stop_reason != "tool_use" or all(block.type != "tool_use" for block in blocks[before:]):
            return Over(Ending("completed", stop_reason=stop_reason))
        return self._behind(turns(blocks))

    def after_tools(self, blocks: Sequence[Block]) -> Step:
        """When what was to be used has results."""
        return self._behind(turns(blocks))

    def _behind(self, found: Sequence[Turn]) -> Step:
        """Behind a whole turn."""
        last = found[-1]
        if missing := self._missing(last):
            return Use(missing) if len(found) <= self.most else Over(_EXCEEDED)
        if any(not self._is_ours(each) for each in last.calls):
            return Over(Ending("completed", stop_reason="tool_use"))
        first = last.first + len(last.said) + len(last.results)
        return Ask(Call(self._asking(found), first, new_turn=True))

    def _is_ours(self, wanted: Wanted) -> bool:
        """Whether it is not the client that runs it. What nobody has offered is told to the model as a failure."""
        return wanted.name in self.offered or wanted.name not in self.clients

    def _missing(self, turn: Turn) -> tuple[Wanted, ...]:
        """The calls of server tools that have no result yet. An id may be there twice: a result is for one call."""
        ids = [block.head.get("tool_use_id") for block in turn.results]
        missing = []
        for wanted in filter(self._is_ours, turn.calls):
            if wanted.id in ids:
                ids.remove(wanted.id)
            else:
                missing.append(wanted)
        return tuple(missing)

    def _asking(self, rounds: Sequence[Turn]) -> Json:
        """What the model is asked behind these rounds. A tool that it was made to call first it is not made to call again: it
        would never answer."""
        if not rounds:
            return self.body
        body = dict(self.body)
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
            body["tool_choice"] = {"type": "auto", **{k: v for k, v in choice.items() if k not in ("type", "name")}}
        messages: list[Json] = list(body["messages"])  # type: ignore[call-overload]
        for turn in rounds:
            said = [block.content() for block in turn.said]
            said = [block for block in said if block.get("text") != "" or block["type"] != "text"]
            if messages and messages[-1]["role"] == "assistant":  # a prefill of the submitter's own
                said = [*_blocks(messages.pop()["content"]), *said]
            messages.append({"role": "assistant", "content": [_sendable(block) for block in said]})
            messages.append({"role": "user", "content": [block.content() for block in turn.results]})
        return {**body, "messages": messages}


def rounds_of(body: Json, options: Options, tools: Sequence[Tool]) -> Rounds:
    """What a request asks for whose `server_tools` are these."""
    given: list[Json] = list(body.get("tools") or ())  # type: ignore[call-overload]
    return Rounds(
        {**body, "tools": [*given, *(tool.definition for tool in tools)]},
        frozenset(tool.name for tool in tools),
        frozenset(str(each.get("name")) for each in given),
        options.max_tool_rounds,
    )


def untold(blocks: Sequence[Block]) -> list[tuple[int, Block]]:
    """Results whose `tool_end` the log has not: a worker died right before it."""
    return [(index, block) for index, block in enumerate(blocks) if block.type == RESULT and not block.told]


def _input(block: Block) -> object:
    """What the model gave the tool; None if it is not JSON."""
    content = block.content()
    return None if "partial_json" in content else content.get("input", {})


def _blocks(content: object) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)  # type: ignore[call-overload]


def _sendable(block: Json) -> Json:
    """A block as the Messages API takes it back: without what only we have in it."""
    if "partial_json" in block:
        block = {**block, "input": {}}
    return {name: value for name, value in block.items() if name not in ("partial_json", "deltas")}
