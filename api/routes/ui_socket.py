"""`/api/chat/ws`: chats over one connection, as `WebSocketChatTransport` of the AI SDK has it (docs/protocol.md)."""

from contextlib import suppress
from functools import partial
from typing import Final

import orjson
from fastapi import Response
from starlette.datastructures import Headers
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope
from starlette.types import Send as ToClient

from api.access.gate import Principal
from api.dialects.ui.numbered import NUMBERED, tail
from api.intake.body import made_of
from api.intake.chat_messages import Abort, Asked, Resume, Send, heard
from api.intake.negotiate import idempotency_key
from api.intake.problems import Code, Problem, problem_of
from api.intake.shaped import ui
from api.routes.arriving import arrive
from api.routes.asking import WhoViews, guarded
from api.routes.cancelling import cancel_for
from api.routes.chats import accepted_chat, is_over, last_of
from api.routes.conversing import UPGRADE, Conversation, converse
from api.routes.following import refuse_if_full
from api.routes.openapi import Nothing, described
from api.viewing.bundle import Why
from api.viewing.framing import plain
from api.viewing.rendition import View
from api.viewing.viewer import Viewer
from broker.errors import AlreadyEnded
from broker.ids import EntryId

PATH: Final = "/api/chat/ws"
_VIEW: Final = View(NUMBERED, plain)


class ChatConversation(Conversation):
    """Requests are known by the names that the client gives them. One is `_arriving` until its viewer is there, and `_unwanted`
    if it was aborted meanwhile; what it has sent is in `_sent`, for it may be stopped by that name."""

    subprotocol = "respool.chat.v1"
    needs_subprotocol = False
    """A page that says nothing of who asks names none."""
    at_once = 4
    """A message may have 1 MiB."""

    def __init__(self, scope: Scope, receive: Receive, send: ToClient, who: Principal) -> None:
        super().__init__(scope, receive, send, who)
        self._arriving: set[str] = set()
        self._unwanted: set[str] = set()
        self._sent: dict[str, str] = {}
        self._requests: dict[Viewer, str] = {}

    # -- what the client says

    async def _hear(self, text: str) -> None:
        request = about = ""
        try:
            self._refuse_unaudited()
            request, asked = await made_of(text.encode(), partial(heard, self._cells.bounds), self._cells.aside)
            if isinstance(asked, Problem):
                raise asked
            about = self._sent.get(request, "") if isinstance(asked, Abort) else ""
            await self._do(asked)
        except Exception as error:
            problem = problem_of(error)
            self._note_refusal(problem, about)
            self._say("error", request, ui.error(problem))

    async def _do(self, asked: Asked) -> None:
        if isinstance(asked, Abort):
            await self._abort(asked.request)
            return
        request = asked.request
        if request in self._arriving or request in self._socket.bundle:
            raise Problem(Code.ALREADY_FOLLOWED)
        self._refuse_if_many(len(self._arriving))
        self._arriving.add(request)
        try:
            await (self._send(asked) if isinstance(asked, Send) else self._resume(asked))
        finally:
            self._arriving.discard(request)
            unwanted = request in self._unwanted
            self._unwanted.discard(request)
        if unwanted:
            await self._abort(request)

    async def _send(self, asked: Send) -> None:
        who, cells = self._who, self._cells
        who.refuse_without("submit")
        cells.refuse_if_crowded()
        refuse_if_full(cells.admissions, who)
        key = idempotency_key(Headers(asked.headers))
        accepted = await accepted_chat(self._connection, cells, who, asked.chat, key)
        self._sent[asked.request] = accepted.id
        await self._follow(asked.request, accepted.id)

    async def _resume(self, asked: Resume) -> None:
        found = await last_of(self._cells, self._who, asked.id)
        if found is None or is_over(found[1]):
            self._say("no-active", asked.request)
        else:
            await self._follow(asked.request, found[0])

    async def _follow(self, request: str, id_: str) -> None:
        """From the first chunk on, which this client always wants."""
        arrival = await arrive(self._service(id_), self._journal, self._who, id_, None, _VIEW, new=True)
        assert arrival is not None, "only a cursor at the end has nothing behind it"
        if not arrival.turned_away:
            self._say("start", request)
        self._requests[arrival.viewer] = request
        await self._begin(arrival, request, tail(request))

    async def _abort(self, request: str) -> None:
        """What it has sent is stopped. What it has resumed is left: a page that resumes twice aborts the first one unasked."""
        if request in self._arriving:
            self._unwanted.add(request)
            return
        self._socket.bundle.leave(request)
        id_, who = self._sent.pop(request, None), self._who
        if id_ is None:
            return
        who.refuse_without("cancel")
        await self._cells.counting(id_).count(who.owner, who.key)
        with suppress(AlreadyEnded):  # the abort and the end have crossed
            await cancel_for(self._service(id_), self._journal, who, id_)

    # -- what the client is told

    def _say(self, type_: str, request: str, more: object = None) -> None:
        said = more if isinstance(more, dict) else {}
        self._socket.say(orjson.dumps({**said, "type": type_, "requestId": request}))

    def _left(self, viewer: Viewer, why: Why, place: EntryId | None) -> None:
        hub = self._service(viewer.id).hub
        hub.detach(viewer)
        request = self._requests.pop(viewer, "")
        if why == "unfollowed":
            return
        self._sent.pop(request, None)
        if why == "ended":
            self._say("end", request)
        elif not hub.draining:  # else the connection ends too, which a page takes for what it is
            self._say("error", request, {"errorText": "cut: the stream was cut, and may be resumed"})


router = guarded("/api")


@router.get(
    "/chat/ws",
    **described(
        {101: Nothing("What follows is WebSocket.")}, (Code.UPGRADE_REQUIRED,), scopes=("view",), errors="UIError"
    ),
)
async def plain_http(_: WhoViews) -> Response:
    """Opens a WebSocket for `WebSocketChatTransport`: chats are sent, resumed and stopped over one connection."""
    raise Problem(Code.UPGRADE_REQUIRED, headers=UPGRADE)


SOCKET_ROUTE: Final = WebSocketRoute(PATH, partial(converse, ChatConversation))
