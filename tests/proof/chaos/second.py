"""The second upstream of a run: OpenAI's two protocols, of the same simulator, by a way of their own. Pure.

Every fifth generation goes there, by turns to a model that is asked to go on from what it has said, and to one that begins
again. Two of twenty ask first, of one upstream, for a model that it has not, and fall back to one of the other.
"""

from tests.proof.chaos.wire import Address

PAIR = "worker_upstream_two"
KEY = "OPENAI_API_KEY"
FIRST = "sim-1"
FEW = "sim-few"
CONCURRENT = 2
"""Calls of that model at a time, by all workers."""
_QUOTED, _BEGUN_AGAIN = "sim-chat", "sim-responses"
_EVERY = 5
_FALLS_BACK = (7, 17)
"""Which of twenty."""


def entries(address: Address | None) -> list[dict[str, object]]:
    """RESPOOL_UPSTREAMS, with the second upstream at this address, if there is one; the first one is where its own variable
    says. One model of that may be called by few at a time."""
    first: list[dict[str, object]] = [
        {"name": "few", "kind": "anthropic", "models": [f"{FEW}?*"], "limits": {"concurrent": CONCURRENT}},
        {"name": "first", "kind": "anthropic", "models": ["*"]},
    ]
    if address is None:
        return first
    there = {"base_url": f"http://{address[0]}:{address[1]}/v1", "key": KEY}
    return [
        {"name": "chat", "kind": "openai-chat", **there, "models": [f"{_QUOTED}?*"], "continuation": "quote"},
        {"name": "responses", "kind": "openai-responses", **there, "models": [f"{_BEGUN_AGAIN}?*"]},
        *first,
    ]


def models(number: int) -> tuple[str, str | None]:
    """Which model answers the generation of this number, and which one, if any, is asked for before, and is not there."""
    there, back = _FALLS_BACK
    if number % 20 == there:
        return _QUOTED, FIRST
    if number % 20 == back:
        return FIRST, _BEGUN_AGAIN
    if number % _EVERY == 0:
        return (_QUOTED, _BEGUN_AGAIN)[number // _EVERY % 2], None
    return FIRST, None
