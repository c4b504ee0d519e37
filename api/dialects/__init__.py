"""The vocabularies in which a log is shown: each is a fold over its entries, and the cursor is always the log's own. Pure.

native.py is ours, text.py bare text; messages.py is Anthropic's (messages_words.py: errors and ends; messages_whole.py: an
answer that is no stream); chat.py and chat_text.py are the two of the chat form. sse.py is what server-sent events
have in common, whatever they say, content.py what was produced so far, as JSON. chunks.py is around any of them, and shows
words or sentences at once; boundaries.py says where these end. as_messages.py is around any of them, and makes messages of a
WebSocket of their frames; websocket.py is what these have in common. redacted.py is around any of them too, and shows text
alone; redaction.py says what that is. responses/ is that of OpenAI's Responses API; openai_words.py is what it shares with Chat
Completions.
completions.py has the chunks of OpenAI's Chat Completions, completion.py the whole that they come to. ui/ is what the AI SDK
reads. langgraph/ is what LangGraph's server says.
durable.py is what Durable Streams make of the chat form.

    log       7-0 stream_start   7-1 block_start   7-2 "It"   7-3 " is"        state behind each: s1 s2 s3 s4
    frames    (begin, 7-0) → s1  (s1, 7-1) → s2    …          (s3, 7-3) → s4   one frame an entry, which may be empty

Who resumes behind `7-2` gets what `fold(s3, …)` makes of the rest: the same bytes as who was never away. So a state is a value:
the same entries give the same one, in whatever portions they come, and none is changed in place.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from broker.events import Entry
from broker.ids import BEGINNING, EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

State: TypeAlias = object
"""What a dialect remembers of the entries so far: known to itself alone, None where it remembers nothing."""
UNKNOWN: Final[State] = object()
"""The state behind a cursor up to which nobody has folded the log yet."""


class Dialect(ABC):
    """Frames are bytes that a socket may get as they are, side by side in the order of their entries."""

    begin: State = None
    """The state in front of the first entry. If it is None it stays None: then every entry is rendered by itself."""
    keep_alive: bytes
    """Says that the connection lives, and nothing else."""
    done: bytes
    """What is behind the end for readers that wait for it: those of the chat form."""
    SLICE: Final = 1000
    slice: int = SLICE
    """So many entries are folded in about a millisecond."""
    holds: bool = False
    """Whether it holds entries back. Then `fold` returns frames of those that it held and of these, in their order, but for the
    last ones, which it holds now."""

    def behind(self, cursor: EntryId) -> State:
        """The state behind a cursor, where it goes without saying."""
        return self.begin if self.begin is None or cursor == BEGINNING else UNKNOWN

    @abstractmethod
    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        """The state behind the entries, and a frame for each of them; one that this dialect does not show has an empty frame.
        The frame of the end is never empty."""

    def flush(self, state: State, most: int | None = None) -> tuple[State, list[bytes]]:
        """Frames of the entries that are held back, or of the first `most` of them; and the state behind. Where nothing is
        held the state is one that who resumes there may begin with."""
        return state, []

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        """As `fold`, without frames, of entries of this one kind, which is a delta's: what who resumes far behind needs of all
        that is before. UNKNOWN where it takes a fold."""
        return UNKNOWN

    def passed(self, state: State) -> bool:
        """Whether what is held back has all of something that may be shown by itself."""
        return False

    def count(self, state: State) -> int:
        """How many events were said up to there, in a dialect that numbers them: those before the log's included."""
        return 0

    def weight(self, state: State) -> int:
        """About how many bytes the state holds, if it holds what was said."""
        return 0

    @abstractmethod
    def queued(self, wait: Wait) -> bytes:
        """So many others wait before it, and for so long."""

    @abstractmethod
    def gap(self, reason: GapReason) -> bytes:
        """What the reader has is not what the log has."""

    @abstractmethod
    def drain(self, retry_ms: int) -> bytes:
        """It should come back after so many milliseconds."""

    @abstractmethod
    def closed(self, reason: ClosedReason) -> bytes:
        """What let the reader in has ended."""

    @abstractmethod
    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """The parts of a frame that stands for everything but the end; none if there is nothing to say."""

    @abstractmethod
    def first(self, body: bytes) -> bytes | None:
        """The beginning of a stream with what must be said once in it; None if there is no event in it that could carry
        that."""
