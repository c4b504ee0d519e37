"""Which blocks an answer has: the plan's text, or what is left of it when a partial answer is to be continued."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import orjson

from worker.simulator.asked import Asked, Tool
from worker.simulator.plan import BlockKind, Plan
from worker.simulator.refused import Refused
from worker.simulator.text import after, banner, markdown, thought, tokenize, until

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]

_QUOTED = re.compile(r"<partial_answer>(.*?)</partial_answer>", re.DOTALL)
_OF_TYPE: dict[object, object] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}
_STAMP = re.compile(r"[0-9]{12,} ")


@dataclass(frozen=True, slots=True)
class Block:
    """One content block and the tokens that its deltas carry, one each. A tool's tokens are pieces of JSON, `name` is its
    own."""

    kind: BlockKind
    tokens: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """Everything that the model says, and why it stops. `continued` is the length of the partial it goes on from."""

    blocks: tuple[Block, ...]
    stop_reason: StopReason
    stop_sequence: str | None = None
    continued: int | None = None

    @cached_property
    def output_tokens(self) -> int:
        """Tokens of all blocks; what usage tells."""
        return sum(len(block.tokens) for block in self.blocks)


def compose(plan: Plan, asked: Asked) -> Answer:
    """The answer to a request. Raises Refused(400) where a trailing assistant message may not be continued."""
    partial, prefilled = _partial(plan, asked)
    whole, text, continued = _text(plan, asked, partial)
    text, stop_sequence = _stopped(text, asked.stop_sequences)
    blocks: list[Block] = []
    # A prefilled answer goes on where it was; it cannot think first. A quoted one is a fresh answer, and does.
    if (asked.thinking if plan.thinking is None else plan.thinking) and not prefilled:
        blocks.append(Block("thinking", thought(_seed("".join(whole)))))
    if text or continued is None:
        blocks.append(Block("text", text))
    calls = _calls(plan, asked, "".join(whole)) if stop_sequence is None else []
    blocks += calls
    reason: StopReason = "refusal" if plan.refuse else "tool_use" if calls else "end_turn"
    answer = Answer(tuple(blocks), "stop_sequence" if stop_sequence else reason, stop_sequence, continued)
    return _capped(answer, asked.max_tokens)


def _calls(plan: Plan, asked: Asked, whole: str) -> list[Block]:
    """The tool that is always called; the request's own tools in turn, for so many rounds; or none."""
    if plan.tool is not None:
        told = plan.input or {
            "query": whole[:40],
            "limit": 3,
            "options": {"exact": True, "languages": ["en", "日本語"]},
        }
        return [Block("tool", _pieces(told), plan.tool)]
    if asked.rounds >= plan.rounds or not asked.tools:
        return []
    first = asked.rounds * plan.calls
    tools = [asked.tools[number % len(asked.tools)] for number in range(first, first + plan.calls)]
    return [Block("tool", _pieces(_input_for(tool) if plan.input is None else plan.input), tool.name) for tool in tools]


def _input_for(tool: Tool) -> dict[str, object]:
    """What the schema of each property gives as its first example, or its default; of others what is required, of its type."""
    properties, required = tool.schema.get("properties"), tool.schema.get("required")
    given: dict[str, object] = {}
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        if examples := schema.get("examples"):
            given[name] = examples[0]
        elif isinstance(required, list) and name in required:
            given[name] = _OF_TYPE.get(schema.get("type"), name)
    return given


def remainder(whole: Sequence[str], partial: str) -> tuple[tuple[str, ...], int] | None:
    """The tokens that follow `partial` in `whole`, and how many characters precede them; None if it is no beginning.

    The partial may have lost white space at its end, or stand on lines of its own between its tags.
    """
    text = "".join(whole)
    for form in (partial, partial.rstrip(), partial.removeprefix("\n").removesuffix("\n"), partial.strip()):
        if text.startswith(form):
            return after(whole, len(form)), len(form)
    return None


def _partial(plan: Plan, asked: Asked) -> tuple[str | None, bool]:
    """The answer so far, if the request holds one, and whether it is a prefill (else it is quoted)."""
    last = asked.turns[-1]
    if last.role == "assistant":
        if not plan.prefill:
            raise Refused(
                400,
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            )
        partial = "".join(last.texts)
        if partial != partial.rstrip():
            raise Refused(400, "messages: final assistant content cannot end with trailing whitespace")
        return partial, True
    quotes = [quote for turn in asked.turns if turn.role == "user" for quote in _QUOTED.findall("\n".join(turn.texts))]
    return (quotes[-1] if quotes else None), False


def _text(plan: Plan, asked: Asked, partial: str | None) -> tuple[tuple[str, ...], tuple[str, ...], int | None]:
    """The whole text, the part of it to say now, and the length of the partial before that.

    The whole depends on the prompt, and who quotes a partial adds a message: so each user message, from the last back,
    may be the prompt, and the one whose text begins with the partial is. A partial that fits none is not continued.
    """
    prompts = list(_prompts(asked)) or [""]
    if partial is None:
        whole = _whole(plan, prompts[0], asked.rounds)
        return whole, whole, None
    partial = _STAMP.sub("", partial) if plan.stamp else partial
    for prompt in prompts:
        whole = _whole(plan, prompt, asked.rounds)
        rest = remainder(whole, partial)
        if rest is not None:
            return whole, *rest
    whole = _whole(plan, prompts[-1], asked.rounds)
    return whole, whole, None


def _prompts(asked: Asked) -> Iterator[str]:
    """What may have been the prompt, last message first: its text blocks, those that quote a partial left out."""
    for turn in reversed(asked.turns):
        texts = [text for text in turn.texts if not _QUOTED.search(text)]
        if turn.role == "user" and texts:
            yield "\n".join(texts)


def _whole(plan: Plan, prompt: str, rounds: int) -> tuple[str, ...]:
    """What is said behind so many rounds of tools."""
    if plan.echo:
        return tokenize(prompt)
    # Only the first line counts, so that a prompt with instructions appended to it still gets the same text.
    seed = plan.seed if plan.seed is not None else _seed(prompt.strip().partition("\n")[0])
    seed += rounds
    head = banner(plan.model)[: plan.tokens] if plan.simulated and not rounds else ()
    return head + markdown(seed, plan.tokens - len(head))


def _seed(prompt: str) -> int:
    return zlib.crc32(prompt.encode(errors="surrogatepass"))


def _stopped(text: tuple[str, ...], sequences: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The text up to the first stop sequence in it, and that sequence."""
    joined = "".join(text) if sequences else ""
    found = [(place, sequence) for sequence in sequences if (place := joined.find(sequence)) >= 0]
    if not found:
        return text, None
    place, sequence = min(found)
    return until(text, place), sequence


def _pieces(value: dict[str, object]) -> tuple[str, ...]:
    """Pieces of a JSON object, the first one empty as the real API sends it."""
    written = orjson.dumps(value).decode()
    return ("", *(written[start : start + 6] for start in range(0, len(written), 6)))


def _capped(answer: Answer, max_tokens: int) -> Answer:
    """The answer, cut where `max_tokens` tokens of all its blocks are reached."""
    if answer.output_tokens <= max_tokens:
        return answer
    kept: list[Block] = []
    for block in answer.blocks:
        if max_tokens > 0:
            kept.append(replace(block, tokens=block.tokens[:max_tokens]))
            max_tokens -= len(block.tokens)
    return replace(answer, blocks=tuple(kept), stop_reason="max_tokens", stop_sequence=None)
