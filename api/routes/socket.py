"""`/v1/ws`: one connection that follows many generations, in the subprotocol `respool.v1`."""

from functools import partial
from typing import Final

import orjson
from fastapi import Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from api.access.gate import Principal
from api.access.linked import SOCKET
from api.dialects.as_messages import in_messages
from api.dialects.chunks import in_chunks
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.intake.problems import Code, Problem, problem_of
from api.intake.socket_messages import Asked, Cancel, Follow, Unfollow, asked_in
from api.routes import views
from api.routes.arriving import Arrival, arrive
from api.routes.asking import WhoViews, guarded
from api.routes.cancelling import cancel_for
from api.routes.conversing import UPGRADE, Conversation, converse
from api.routes.openapi import Nothing, described
from api.routes.service import Service
from api.viewing.bundle import Why
from api.viewing.framing import plain
from api.viewing.rendition import View
from api.viewing.viewer import Viewer
from broker.ids import BEGINNING, EntryId

PATH: Final = SOCKET.decode()
SUBPROTOCOL: Final = "respool.v1"


class NativeConversation(Conversation):
    """A generation is `_arriving` while it is found out how its viewer begins; it is `_unwanted` if the client has changed its
    mind meanwhile."""

    subprotocol = SUBPROTOCOL

    def __init__(self, scope: Scope, receive: Receive, send: Send, who: Principal) -> None:
        super().__init__(scope, receive, send, who)
        self._arriving: set[str] = set()
        self._unwanted: set[str] = set()

    # -- what the client says

    async def _hear(self, text: str) -> None:
        about = ""
        try:
            asked = asked_in(text)
            about = asked.generation
            await self._do(asked)
        except Exception as error:
            self._refuse(about, problem_of(error))

    async def _do(self, asked: Asked) -> None:
        self._refuse_unaudited()
        match asked:
            case Follow():
                await self._follow(asked)
            case Unfollow():
                self._unfollow(asked.generation)
            case Cancel():
                await self._cancel(asked.generation)

    async def _follow(self, asked: Follow) -> None:
        id_, who = asked.generation, self._who
        who.refuse_without("view")
        bundle, arriving = self._socket.bundle, self._arriving
        if id_ in bundle or id_ in arriving:
            raise Problem(Code.ALREADY_FOLLOWED)
        self._refuse_if_many(len(arriving))
        service = self._service(id_)
        shown = redacted(NATIVE) if who.redacted else NATIVE
        view = View(in_messages(in_chunks(shown, asked.chunk), id_), plain)
        arriving.add(id_)
        try:
            arrival = self._known(service, asked, view) or await arrive(
                service, self._journal, who, id_, asked.after, view, snapshot=asked.from_ == "snapshot", new=True
            )
            if arrival is not None:
                await self._begin(arrival)
        finally:
            arriving.discard(id_)
            unwanted = id_ in self._unwanted
            self._unwanted.discard(id_)
        if arrival is None:
            self._tell_stopped(id_, "ended", asked.after)
        elif unwanted:
            bundle.leave(id_)

    def _known(self, service: Service, asked: Follow, view: View) -> Arrival | None:
        """Whom the hub can serve from memory: who drops comes back, perhaps as one of a crowd."""
        cursor = EntryId.parse(asked.after) if asked.after else BEGINNING
        if cursor is None or asked.from_ == "snapshot" or (asked.after and cursor == BEGINNING):
            return None
        id_, who = asked.generation, self._who
        if not service.hub.knows(id_, cursor, view, who):
            return None
        self._journal.note("view", who, id_)
        return Arrival(service.hub.attach(id_, cursor, view, who=who, ended=False))

    def _unfollow(self, id_: str) -> None:
        if id_ in self._arriving:
            self._unwanted.add(id_)
        elif id_ in self._socket.bundle:
            self._socket.bundle.leave(id_)
        else:  # its end may have crossed with this
            self._tell_stopped(id_, "unfollowed", None)

    async def _cancel(self, id_: str) -> None:
        who = self._who
        who.refuse_without("cancel")
        await self._cells.counting(id_).count(who.owner, who.key)
        record, _ = await cancel_for(self._service(id_), self._journal, who, id_)
        self._say(id_, {"record": views.summary(record)})

    # -- what the client is told

    def _say(self, id_: str, more: dict[str, object]) -> None:
        self._socket.say(orjson.dumps({"generation": id_, **more} if id_ else more))

    def _refuse(self, id_: str, problem: Problem) -> None:
        self._note_refusal(problem, id_)
        after = problem.headers.get("Retry-After")
        self._say(id_, {"error": {**problem.body(), **({"retry_after": int(after)} if after else {})}})

    def _left(self, viewer: Viewer, why: Why, place: EntryId | None) -> None:
        self._service(viewer.id).hub.detach(viewer)
        self._tell_stopped(viewer.id, why, None if place is None else str(place))

    def _tell_stopped(self, id_: str, why: Why, after: str | None) -> None:
        self._say(id_, {"stopped": {"reason": why, "after": after}})


router = guarded()


@router.get(
    "/ws",
    **described({101: Nothing("What follows is WebSocket.")}, (Code.UPGRADE_REQUIRED,), scopes=("view",), links=True),
)
async def plain_http(_: WhoViews) -> Response:
    """Opens a WebSocket, in the subprotocol `respool.v1`: one connection follows many generations."""
    raise Problem(Code.UPGRADE_REQUIRED, headers=UPGRADE)


SOCKET_ROUTE: Final = WebSocketRoute(PATH, partial(converse, NativeConversation))
