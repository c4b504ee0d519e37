"""What the two protocols of OpenAI have in common: the order of frames, and where a fault strikes among them. Pure."""

from collections.abc import Callable, Iterator

from worker.simulator.answer import Block
from worker.simulator.script import Act, Scene, Step

Beginning = Callable[[int, Block], Iterator[bytes]]
Token = Callable[[int, Block, int], tuple[bytes, bytes]]
"""What stands before and behind the token of this place, which comes as JSON."""


def staged(scene: Scene, begins: Beginning, token: Token, ends: Beginning, last: bytes) -> Iterator[Step]:
    """Everything behind the opening. A fault whose place lies behind its block's end, or in no block, strikes there."""
    fault = scene.fault
    for index, block in enumerate(scene.answer.blocks):
        yield from (Step(Act.FRAME, frame) for frame in begins(index, block))
        act = Act.TEXT if block.kind == "text" else Act.TOKEN
        for place, text in enumerate(block.tokens):
            if fault and fault.block == block.kind and place == fault.at:
                yield Step(Act.FAULT)
            before, behind = token(index, block, place)
            yield Step(act, before, text, behind)
        if fault and fault.block == block.kind:
            if fault.at >= len(block.tokens):
                yield Step(Act.FAULT)
            fault = None
        yield from (Step(Act.FRAME, frame) for frame in ends(index, block))
    if fault:
        yield Step(Act.FAULT)
    yield Step(Act.FRAME, last)
    yield Step(Act.END)


def usage_counts(scene: Scene) -> tuple[int, int, int]:
    """Tokens of the prompt, of the answer, and those of the answer that are reasoning."""
    reasoned = sum(len(block.tokens) for block in scene.answer.blocks if block.kind == "thinking")
    return scene.asked.input_tokens, scene.answer.output_tokens, reasoned
