"""A WebSocket on which generations are followed, whatever is said on it: who may open it, its life, and the viewers on it."""

from abc import ABC, abstractmethod
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from api.access.gate import WHO, Principal
from api.audit.journal import Journal
from api.delivery.asgi import open_viewer
from api.delivery.sockets import AT_ONCE, POLICY, Socket
from api.intake.problems import Code, Problem
from api.intake.shapes import worded
from api.routes.arriving import Arrival
from api.routes.auditing import is_denial
from api.routes.cells import Cells
from api.routes.service import Service
from api.viewing.bundle import Why
from api.viewing.viewer import Viewer
from broker.ids import EntryId
from broker.vocabulary import ClosedReason

MOST_FOLLOWED: Final = 200
UPGRADE: Final = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


class Conversation(ABC):
    """What is said on one connection."""

    subprotocol: str
    needs_subprotocol = True
    """Whether a client must name it. One that names none must not be given any."""
    at_once = AT_ONCE

    def __init__(self, scope: Scope, receive: Receive, send: Send, who: Principal) -> None:
        self._connection = HTTPConnection(scope)
        self._cells: Cells = scope["app"].state.cells
        self._journal: Journal = scope["app"].state.journal
        self._who = who
        self._socket = Socket(scope, receive, send, self._left)

    async def run(self, subprotocol: str | None) -> None:
        admissions = self._cells.admissions
        admission = admissions.connect(self._who, self._shut)
        try:
            for viewer in await self._socket.run(subprotocol, self._hear, self.at_once):
                self._service(viewer.id).hub.detach(viewer)
        finally:
            admissions.leave(admission)

    def _shut(self, reason: ClosedReason) -> None:
        self._socket.close(POLICY, reason)

    def _service(self, id_: str) -> Service:
        return self._cells.of(id_)

    @abstractmethod
    async def _hear(self, text: str) -> None:
        """The client says this. Raises nothing."""

    @abstractmethod
    def _left(self, viewer: Viewer, why: Why, place: EntryId | None) -> None:
        """As of a bundle."""

    def _refuse_unaudited(self) -> None:
        """Raises Problem (503) where nothing may be done that cannot be noted."""
        if self._journal.refuses:
            raise Problem(Code.AUDIT_UNAVAILABLE)

    def _refuse_if_many(self, arriving: int) -> None:
        """Raises Problem (429) if so many that arrive make it more than a connection follows."""
        if len(self._socket.bundle) + arriving >= MOST_FOLLOWED:
            raise Problem(Code.TOO_MANY_STREAMS, limit="connection")

    def _note_refusal(self, problem: Problem, about: str) -> None:
        if is_denial(problem, about):
            self._journal.note("deny", self._who, about, problem.code)

    async def _begin(self, arrival: Arrival, name: str = "", tail: bytes | None = None) -> None:
        """It writes from now on. `name` and `tail` as of a bundle."""
        viewer = arrival.viewer
        if arrival.opening is not None:
            hub = self._service(viewer.id).hub
            try:
                await open_viewer(hub, viewer, arrival.opening)
            except BaseException:
                hub.detach(viewer)
                raise
        if arrival.first:
            self._socket.bundle.say(arrival.first)
        self._socket.carry(viewer, name, tail)


async def converse(conversation: type[Conversation], websocket: WebSocket) -> None:
    """What answers whom the gate has let in."""
    scope, who = websocket.scope, websocket.scope.get(WHO)
    offered, named = scope["subprotocols"], conversation.subprotocol
    try:
        if not isinstance(who, Principal):
            raise Problem(Code.UNAUTHENTICATED)
        who.refuse_without("view")
        if named not in offered and (offered or conversation.needs_subprotocol):
            raise Problem(Code.UPGRADE_REQUIRED, headers=UPGRADE)
    except Problem as refused:
        await worded(refused, scope["path"], scope["headers"])(scope, websocket.receive, websocket.send)
    else:
        talk = conversation(scope, websocket.receive, websocket.send, who)
        await talk.run(named if named in offered else None)
