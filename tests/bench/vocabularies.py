"""The vocabularies as the bench asks for them: the dialect of each, and how its reader begins, follows and comes back."""

from collections.abc import Callable
from typing import Final, NamedTuple

from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.completions import COMPLETIONS
from api.dialects.durable import DURABLE, offset_behind
from api.dialects.messages import MESSAGES
from api.dialects.native import NATIVE
from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head, response_id
from api.dialects.text import TEXT_VIEW
from api.dialects.ui import UI
from broker.ids import EntryId

_SAID: Final = '"model":"sim-1","messages":[{"role":"user","content":"bench"}]'


class Vocabulary(NamedTuple):
    """`dialect` of a generation. `path`: where a reader of it follows it from its beginning; empty if that is a repeat of the
    POST that made it, to `posts`, with this `body`. `behind`: what is put behind the path, or as Last-Event-ID into the head
    of that POST, by who comes back behind an entry; None: nobody can. `first`: what is put there by who has nothing."""

    name: str
    dialect: Callable[[str], Dialect]
    path: Callable[[str], str] | None = None
    behind: Callable[[EntryId], str] | None = str
    posts: str = ""
    body: str = ""
    first: str = ""


def _events(more: str) -> Callable[[str], str]:
    return lambda id_: f"/v1/generations/{id_}/{more}"


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
)  # fmt: skip
