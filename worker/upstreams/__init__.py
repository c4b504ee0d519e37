"""The model APIs that generations come from: a package for each, and what they share.

opening.py    from the settings to upstreams that can be called; what is missing is named before a worker starts
tenants.py    which key a tenant's calls are made with
routed.py     several upstreams as one: a model's name says which of them is called
body.py       the bytes of an answer, past the SDK
reading.py    what reading an answer has in common: how far it is, what goes wrong on the way
frames.py     from the bytes of an event stream to its frames
going_on.py   the two ways in which a model is asked to go on from an interrupted answer
malformed.py  what an upstream sends that its own protocol does not allow
retry_after.py  the pause that an upstream asks for; told.py: what it says of its limits
wording.py    what is passed on of an upstream's words

anthropic/    the Messages API
openai/       the Responses API, and Chat Completions for everything compatible

An attempt asks an `Upstream` with a `Call` and reads its `Answer`: entries, usage, a stop reason, failures by name. It knows no
event and no exception of any vendor's. Another upstream is a package that has these three.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from broker.budgets import NOTHING_TOLD, Budget, Told
from broker.events import Content
from broker.failures import FailureCode
from broker.request import Cache
from broker.transcript import Kept

Json = dict[str, object]


class NoCredentials(Exception):
    """The worker could not call its upstream; the text says what to set."""


class UpstreamFailure(Exception):
    """The call did not reach its end. `code` is of the table of failures, `message` may be shown to viewers.

    `retryable`: the same call may succeed later. `retry_after`: seconds, if the upstream asks for a pause. `begun`: the answer
    had begun, though no entry has come of it, so that the call is not repeated within this attempt. `told`: what the upstream
    said of its limits. `answered`: it did answer, be it with a refusal."""

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        retryable: bool = True,
        retry_after: float | None = None,
        begun: bool = False,
        told: Told = NOTHING_TOLD,
        answered: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.begun = begun
        self.told = told
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Call:
    """What an attempt asks: `body` is a request in the Messages form, as submitters make them.

    `keep_blocks` blocks are in the log already; if there are any, the last is text, and the answer's first text goes on with
    it. `unshown` is the end of that text that the upstream is not shown: where the answer repeats it, it is not doubled.
    `new_turn`: those blocks are whole turns, behind which the answer is one of its own: nothing of it goes on with any of
    them. `cache`: what of the prompt the upstream should keep, where it must be told. Without `stream` the answer comes as
    one: it has the same entries, the text of a block as one."""

    body: Json
    keep_blocks: int = 0
    unshown: str = ""
    stream: bool = True
    new_turn: bool = False
    cache: Cache | None = None


Resumed = Callable[[Json, Kept], Call | None]
"""How an upstream is asked to go on: its `resumed`."""

Take = Callable[[list[Content]], bool]
"""Called with the entries of what has come, in the loop's own callback: it does not wait. Says whether to go on at once."""


class Answer(Protocol):
    """An answer while it comes. What the properties say belongs to the entries that were given last."""

    async def read(self, take: Take) -> bool:
        """Gives `take` the entries of each read together, no list of them empty, until the answer ends (True) or `take` wants
        to pause (False): then nothing more is read until the next call, which goes on there. Raises UpstreamFailure, and
        whatever `take` raises."""

    @property
    def usage(self) -> Json:
        """What this answer costs, as far as the upstream has said. Another object whenever something is new."""

    @property
    def told(self) -> Told:
        """What the upstream said of its limits."""

    @property
    def stop_reason(self) -> str | None:
        """Why the model stopped, if the upstream has said."""

    @property
    def whole(self) -> bool:
        """Whether the answer's own end has come. One that ends without it was cut off, however cleanly."""


class Upstream(Protocol):
    """A model API. One for all generations of a process; close it with `aclose`."""

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Calls the upstream. Leaving the block closes the socket unless the answer was read to its end. Raises
        UpstreamFailure, from the block's body too."""

    def budget(self, call: Call) -> Budget | None:
        """Whose calls this one is counted with; None where nobody counts. Pure."""
        return None

    def resumed(self, body: Json, kept: Kept) -> Call | None:
        """The call that asks for the rest of an interrupted answer to `body`, or None if this upstream cannot go on from what
        is kept of it. Pure."""

    async def aclose(self) -> None: ...
