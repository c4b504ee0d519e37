"""What a generation may cost in output tokens, over all its attempts (`max_spend_tokens`). Pure.

An upstream tells how many tokens an answer has at its end. Until then, and of an answer that broke off, each chunk is taken for
one token: there are no fewer.
"""

from broker.events import DELTAS, Content
from worker.upstreams import Json


class Spending:
    """`most` may be spent, earlier attempts have cost `before`."""

    def __init__(self, most: int, before: int) -> None:
        self._most = most
        self._before = before
        self._chunks = 0

    def exceeded(self, contents: list[Content], usage: Json, *, over: bool) -> bool:
        """Whether these entries make it too much, `usage` being what this attempt costs by the upstream's words. An answer
        that is `over` costs nothing more: it stays, whatever it has cost."""
        self._chunks += sum(kind in DELTAS for kind, _ in contents)
        told = usage.get("output_tokens")
        cost = max(self._chunks, told if type(told) is int else 0)
        return not over and self._before + cost > self._most
