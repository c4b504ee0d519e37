"""Server tools over crashes: an attempt is cut at any entry of its log, another goes on from there, and is cut, and another."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.budgets import NOTHING_TOLD, Told
from broker.events import EVENT, START, Entry
from broker.ids import EntryId
from broker.record import Ending
from broker.tools import ToolCall
from broker.tools.loading import load
from broker.transcript import Kept, Transcript
from tests.worker.generating.test_plan import record
from worker.generating.attempt import Attempt
from worker.generating.plan import Plan, plan
from worker.generating.rounds import Use, turns
from worker.generating.toolbox import Toolbox
from worker.generating.tooled import Tooled
from worker.log.writer import Writer
from worker.settings import WorkerSettings
from worker.upstreams import Answer, Call, Json, Take
from worker.upstreams.anthropic import continuation
from worker.upstreams.anthropic.translate import Translator

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CLIENTS = [{"name": "theirs", "input_schema": {"type": "object"}}]

Script = list[tuple[list[str], list[str]]]
"""Turn by turn: pieces of text, and the tools that are called behind it."""
texts = st.lists(st.text("ab \n日", min_size=1, max_size=3), max_size=3)
scripts = st.lists(st.tuples(texts, st.lists(st.just("ours"), min_size=1, max_size=3)), max_size=3)
last_turns: st.SearchStrategy[tuple[list[str], list[str]]] = st.tuples(
    st.lists(st.text("cd", min_size=1, max_size=3), min_size=1, max_size=3), st.just(list[str]())
)


@dataclass
class Says:
    """One answer."""

    events: list[Json]
    translator: Translator
    told: Told = NOTHING_TOLD

    @property
    def usage(self) -> Json:
        return self.translator.usage

    @property
    def stop_reason(self) -> str | None:
        return self.translator.stop_reason

    @property
    def whole(self) -> bool:
        return self.translator.stopped

    async def read(self, take: Take) -> bool:
        for each in self.events:
            if contents := self.translator.feed(each):
                take(contents)
        return True


@dataclass
class Model:
    """An upstream that follows a script: how many results it was shown is how far it is. Calls have ids that it never used."""

    script: Script
    asked: list[Json] = field(default_factory=list)
    calls: int = 0

    def budget(self, call: Call) -> None:
        return None

    @asynccontextmanager
    async def answer_to(self, call: Call) -> AsyncIterator[Answer]:
        self.asked.append(call.body)
        messages: list[Any] = list(call.body["messages"])  # type: ignore[call-overload]
        results = [m for m in messages if m["role"] == "user" and isinstance(m["content"], list)]
        partial = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        pieces, tools = self.script[len(results)]
        text = "".join(pieces)[len(partial) :]
        translator = Translator(call.keep_blocks, call.unshown, new_turn=call.new_turn)
        yield Says(self._events(text, tools), translator)

    def _events(self, text: str, tools: list[str]) -> list[Json]:
        events: list[Json] = [{"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}]
        blocks: list[tuple[Json, list[Json]]] = []
        if text:
            deltas: list[Json] = [{"type": "text_delta", "text": letter} for letter in text]
            blocks.append(({"type": "text", "text": ""}, deltas))
        head: Json
        for name in tools:
            self.calls += 1
            head = {"type": "tool_use", "id": f"t{self.calls}", "name": name, "input": {}}
            blocks.append((head, [{"type": "input_json_delta", "partial_json": part} for part in ('{"number', '":1}')]))
        for index, (head, deltas) in enumerate(blocks):
            events.append({"type": "content_block_start", "index": index, "content_block": head})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        reason = "tool_use" if tools else "end_turn"
        events.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}})
        return [*events, {"type": "message_stop"}]

    def resumed(self, body: Json, kept: Kept) -> Call:
        return continuation.resumed(body, kept)

    async def aclose(self) -> None: ...


class World:
    """One generation, its log, and a tool that says something new each time."""

    def __init__(self, script: Script, **asked: Any) -> None:
        self.model = Model(script)
        self.log: list[Entry] = []
        self.runs: list[str] = []
        self._asked = {"server_tools": ["ours"], **asked}
        self.tools = load([self._module()])

    def _module(self) -> str:
        async def ours(number: int, call: ToolCall) -> str:
            """Ours."""
            self.runs.append(call.id)
            for _ in range(5 - len(self.runs) % 5):  # who begins later often ends sooner
                await asyncio.sleep(0)
            return f"{call.id} run {len(self.runs)}"

        module = ModuleType("made_for_rounds")
        module.__dict__.update(ours=ours, __all__=["ours"])
        sys.modules[module.__name__] = module
        return module.__name__

    def planned(self) -> Plan:
        ordinal = 1 if self.log else 0
        return plan(record(ordinal=ordinal, **self._asked), Transcript(self.log), self.model.resumed, self.tools)

    def attempt(self) -> Ending:
        """The next attempt, to its end."""
        made = self.planned()
        name = self.log[-1].id.attempt + 1 if self.log else 1
        self.log.append(Entry(EntryId(name, 0), START, made.start_json))
        outcome = asyncio.run(self._run(made, name))
        assert isinstance(outcome, Ending)
        return outcome

    async def _run(self, made: Plan, name: int) -> object:
        how = WorkerSettings()
        writer = Writer("gen_x", name, max_unwritten=1000, now=0.0)

        def take(writer: Writer) -> None:
            first, contents = writer.batch()
            self.log += [Entry(EntryId(name, first + at), *content) for at, content in enumerate(contents)]
            writer.acknowledge(first + len(contents) - 1, 0.0)

        writer.on_put = take
        assert made.rounds is not None
        assert made.transcript is not None
        made.transcript.keep(made.keep_blocks)
        tooled = Tooled(made.rounds, made.transcript, Toolbox(self.tools, how), writer, name)
        attempt = Attempt(
            writer, self.model, how, made.first, made.options, usage={}, output_bytes=0, opening=made.opening, tooled=tooled
        )  # fmt: skip
        return await attempt.run()

    @property
    def events(self) -> list[Json]:
        return [orjson.loads(entry.value) for entry in self.log if entry.kind in (START, EVENT)]

    def cut(self, entries: int) -> None:
        """The worker dies: so much of the log was written."""
        del self.log[entries:]

    def results(self) -> dict[str, str]:
        """What each call's result is, as viewers were shown it: by `tool_end`, and by its block."""
        return {str(event["id"]): str(event["content"]) for event in self.events if event["type"] == "tool_end"} | {
            str(block.head["tool_use_id"]): str(block.head["content"])
            for block in Transcript(self.log).blocks
            if block.type == "tool_result"
        }


@examples
@given(scripts, last_turns, st.data())
def test_wherever_workers_die_no_call_with_a_result_is_made_again_and_no_result_changes(
    rounds: Script, last: tuple[list[str], list[str]], data: st.DataObject
) -> None:
    script = [*rounds, last]
    world = World(script)
    shown: dict[str, str] = {}
    for _ in range(data.draw(st.integers(0, 3))):
        world.attempt()
        world.cut(data.draw(st.integers(0, len(world.log))))
        kept = Transcript(world.log)
        before, asked = len(world.runs), len(world.model.asked)
        shown = world.results()
        world.attempt()
        assert not set(world.runs[before:]) & set(shown), "a call whose result was there was made again"
        assert world.results().items() >= shown.items(), "a result that was shown has changed"
        if kept.blocks and asked < len(world.model.asked):
            told = {
                block["tool_use_id"]: block["content"]
                for message in world.model.asked[asked]["messages"]  # type: ignore[attr-defined]
                if isinstance(message["content"], list)
                for block in message["content"]
                if block["type"] == "tool_result"
            }
            assert told.items() <= world.results().items(), "the model was told what viewers were not shown"
        world.cut(data.draw(st.integers(0, len(world.log))))
    ending = world.attempt()
    assert ending == Ending("completed", stop_reason="end_turn")
    transcript = Transcript(world.log)
    assert transcript.text == "".join("".join(pieces) for pieces, _ in script)
    found = turns(transcript.blocks)
    assert [len(turn.results) for turn in found] == [len(tools) for _, tools in script]
    for turn in found:
        assert Counter(str(each.head["tool_use_id"]) for each in turn.results) == Counter(
            call.id for call in turn.calls
        )
        for result in turn.results:
            assert str(result.head["content"]).startswith(f"{result.head['tool_use_id']} run "), "it is that call's own"
            assert result.told, "its end was told, whoever died"


@examples
@given(scripts, last_turns)
def test_what_the_model_is_asked_is_the_same_whether_or_not_a_worker_died_in_between(
    rounds: Script, last: tuple[list[str], list[str]]
) -> None:
    """Behind each round, of which the log has everything."""
    world = World([*rounds, last])
    world.attempt()
    whole, asked = list(world.log), world.model.asked
    ends = [at for at, entry in enumerate(whole, 1) if b'"type":"tool_end"' in entry.value]
    for at in ends:
        world.log = whole[:at]
        made = world.planned()
        blocks = Transcript(world.log).blocks
        if not isinstance(made.first, Use):
            assert made.first.call.body == asked[len(turns(blocks))]  # type: ignore[union-attr]
            assert made.keep_blocks == len(blocks)


@pytest.mark.parametrize("most", [1, 2])
def test_rounds_are_counted_over_attempts(most: int) -> None:
    world = World([(["a"], ["ours"]), (["b"], ["ours"]), (["c"], [])], max_tool_rounds=most)
    world.attempt()
    (*_, end) = [at for at, entry in enumerate(world.log, 1) if b'"type":"tool_end"' in entry.value][:1]
    world.cut(end)
    ending = world.attempt()
    assert ending.code == ("tool_rounds_exceeded" if most == 1 else "")
    assert len(world.runs) == most + (most > 1)


def test_a_client_s_call_stays_open_over_a_crash_and_the_model_is_not_asked_again() -> None:
    world = World([(["a"], ["ours", "theirs"]), (["never"], [])], tools=CLIENTS)
    assert world.attempt() == Ending("completed", stop_reason="tool_use")
    assert world.runs == ["t1"]
    for entry in range(len(world.log), 1, -1):
        if b"tool_end" in world.log[entry - 1].value:
            world.cut(entry)
            break
    asked = len(world.model.asked)
    assert world.attempt() == Ending("completed", stop_reason="tool_use")
    assert (world.runs, len(world.model.asked)) == (["t1"], asked)


def test_a_tool_that_must_be_called_must_be_called_once() -> None:
    choice = {"type": "tool", "name": "ours", "disable_parallel_tool_use": True}
    world = World([([], ["ours"]), (["b"], [])], tool_choice=choice)
    world.attempt()
    assert [body["tool_choice"] for body in world.model.asked] == [
        choice, {"type": "auto", "disable_parallel_tool_use": True},
    ]  # fmt: skip


def test_a_prefill_is_said_with_what_followed_it() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "So"}]
    world = World([(["So", " be"], ["ours"]), (["it"], [])], messages=messages)
    world.attempt()
    first, second = world.model.asked
    assert first["messages"] == messages
    asked: Any = second["messages"]
    _, said, results = asked
    assert [block.get("text") for block in said["content"]] == ["So", " be", None]
    assert [block["tool_use_id"] for block in results["content"]] == ["t1"]


def test_calls_of_one_id_have_each_a_result_of_their_own() -> None:
    world = World([(["a"], ["ours", "ours"]), (["b"], [])])
    world.model._events = lambda text, tools: _renamed(Model._events(world.model, text, tools))  # type: ignore[method-assign]
    assert world.attempt() == Ending("completed", stop_reason="end_turn")
    assert world.runs == ["same", "same"]


def _renamed(events: list[Json]) -> list[Json]:
    for event in events:
        block = event.get("content_block")
        if isinstance(block, dict) and "id" in block:
            block["id"] = "same"
    return events
