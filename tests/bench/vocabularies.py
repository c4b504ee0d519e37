"""The vocabularies as the bench asks for them: the dialect of each, and how its reader begins, follows and comes back."""

from collections.abc import Callable
from typing import Final, NamedTuple

from api.dialects import Dialect
from api.dialects.as_messages import in_messages
from api.dialects.chat import CHAT_FORM
from api.dialects.completions import COMPLETIONS
from api.dialects.durable import DURABLE, offset_behind
from api.dialects.langgraph import MODES, LangGraph
from api.dialects.messages import MESSAGES
from api.dialects.native import NATIVE
from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head, response_id
from api.dialects.text import TEXT_VIEW
from api.dialects.ui import UI
from broker.ids import EntryId

_SAID: Final = '"model":"sim-1","messages":[{"role":"user","content":"bench"}]'


class Vocabulary(NamedTuple):
    """`dialect` of a generation. `posts`: where it is made, with this `body`; empty if it is made without the server, as most
    need no more. `path`: where a reader of it follows it from its beginning; None if that is a repeat of that POST. `behind`:
    what is put behind the path, or as Last-Event-ID into the head of a POST, and of a GET `by_head`, by who comes back behind
    an entry; None: nobody can. `first`: what is put there by who has nothing. In `posts` and `path` {key} is the
    Idempotency-Key with which it was made. `tells_each`: every token is an event, with its id."""

    name: str
    dialect: Callable[[str], Dialect]
    path: Callable[[str], str] | None = None
    behind: Callable[[EntryId], str] | None = str
    posts: str = ""
    body: str = ""
    first: str = ""
    by_head: bool = False
    tells_each: bool = True


def _events(more: str) -> Callable[[str], str]:
    return lambda id_: f"/v1/generations/{id_}/{more}"


def _langgraph(mode: str) -> Vocabulary:
    modes = frozenset((mode,))
    return Vocabulary(
        f"LangGraph {mode}", lambda id_: LangGraph("bench", id_, modes),
        lambda id_: f"/threads/{{key}}/runs/{id_}/stream?stream_mode={mode}", posts="/threads/{key}/runs",
        body='{"assistant_id":"sim-1","input":{"messages":[{"role":"user","content":"bench"}]}}', by_head=True,
        tells_each=mode == "messages-tuple",
    )  # fmt: skip


NATIVELY: Final = Vocabulary("native", lambda _: NATIVE, _events("events?after="))
VOCABULARIES: Final = (
    NATIVELY,
    Vocabulary("text", lambda _: TEXT_VIEW, _events("events?view=text&after=")),
    Vocabulary("chat", lambda _: CHAT_FORM, posts="/v1/chat/stream", body=f"{{{_SAID}}}"),
    Vocabulary("messages", lambda _: MESSAGES, posts="/v1/messages", behind=None,
               body=f'{{"stream":true,"max_tokens":16,{_SAID}}}'),
    Vocabulary("responses", lambda id_: Responses(Head.of(id_, "sim-1", 0, {})),
               lambda id_: f"/v1/responses/{response_id(id_)}?stream=true", lambda id_: f"&starting_after={id_.seq}"),
    Vocabulary("completions", lambda _: COMPLETIONS, posts="/v1/chat/completions", body=f'{{"stream":true,{_SAID}}}'),
    Vocabulary("ui", lambda _: UI, lambda id_: f"/api/chat/{id_}/stream?startIndex=", lambda id_: str(id_.seq),
               first="0"),
    Vocabulary("durable", lambda _: DURABLE, _events("stream?live=sse&offset="), offset_behind, first="-1"),
    *map(_langgraph, MODES),
    Vocabulary("WebSocket", lambda id_: in_messages(NATIVE, id_), lambda id_: f"/v1/ws?{id_}", behind=None),
)  # fmt: skip
