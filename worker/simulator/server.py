"""The routes: a POST to a model API plays a plan, /_sim tells what was asked."""

import asyncio
import socket
import time
from collections import OrderedDict
from typing import BinaryIO
from urllib.parse import parse_qs, unquote

import orjson

from worker.simulator.answer import compose
from worker.simulator.asked import Asked, user_id_of
from worker.simulator.beside import COUNT_TOKENS, MODELS, count_tokens, models
from worker.simulator.caching import PromptCache
from worker.simulator.connection import Connection, Request
from worker.simulator.limits import Meters
from worker.simulator.openai_asked import openai_user_of
from worker.simulator.plan import STATUS_FAULTS, Fault, Plan, parse_model
from worker.simulator.record import Ledger, Record
from worker.simulator.refused import Refused
from worker.simulator.script import Scene
from worker.simulator.stream import Response, Silent, Streamed, Whole
from worker.simulator.tongue import MESSAGES, TONGUES, Tongue

_SECRET_HEADERS = frozenset({"x-api-key", "authorization", "proxy-authorization", "cookie"})
_MAX_FAULT_COUNTS = 10_000
_MAX_OVERLOADED = 100


class FaultCounts:
    """How often each model string and client has failed so far; the least recently seen are forgotten."""

    def __init__(self) -> None:
        self._failed: OrderedDict[tuple[str, str], int] = OrderedDict()

    def due(self, plan: Plan, asked: Asked) -> Fault | None:
        """The plan's fault if this request must still fail, which counts it."""
        fault = plan.fault
        if fault is None or fault.times is None:
            return fault
        key = (asked.model, asked.fault_key)
        failed = self._failed.get(key, 0)
        self._failed[key] = failed + 1
        self._failed.move_to_end(key)
        if len(self._failed) > _MAX_FAULT_COUNTS:
            self._failed.popitem(last=False)
        return fault if failed < fault.times else None


class Simulator:
    """The server: answers each request of each connection."""

    def __init__(self, record_to: BinaryIO | None = None) -> None:
        self.connections: set[Connection] = set()
        self._ledger = Ledger(record_to)
        self._faults = FaultCounts()
        self._cache = PromptCache()
        self._meters = Meters()

    def connection(self) -> Connection:
        """A new connection, for asyncio's create_server."""
        return Connection(self.serve, self.connections)

    def serve(self, wire: Connection, request: Request) -> Response | None:
        """Answers at once, or returns the response under way."""
        path, _, query = request.target.partition("?")
        if path.startswith("/_sim/"):
            self._tell(wire, request, unquote(path), query)
            return None
        if path in (COUNT_TOKENS, MODELS):
            self._beside(wire, request, path)
            return None
        tongue = TONGUES.get(path)
        if tongue is None:
            self._refuse(wire, request.id, Refused(404, "Not found"))
            return None
        if request.method != "POST":
            self._refuse(wire, request.id, Refused(405, "Method Not Allowed"), tongue)
            return None
        record = _recorded(request, path)
        self._ledger.add(record)
        try:
            return self._play(wire, request, record, tongue)
        except Refused as refused:
            record.status = refused.status
            self._ledger.close(record, "fault" if record.fault else "server")
            self._refuse(wire, request.id, refused, tongue)
            return None

    def _play(self, wire: Connection, request: Request, record: Record, tongue: Tongue) -> Response:
        """Starts the answer. Raises Refused for a bad request, and where the plan says so."""
        check_key(request)
        asked = tongue.parse(bytes(request.body))
        plan = parse_model(asked.model)
        answer = compose(plan, asked)
        record.stream, record.continued = asked.stream, answer.continued
        headers = self._count(plan, asked.input_tokens + answer.output_tokens, request, record, tongue)
        fault = self._faults.due(plan, asked)
        if fault and fault.kind in STATUS_FAULTS:
            record.fault = fault.kind
            raise Refused(int(fault.kind), f"Simulated failure {fault.kind}", fault.retry_after)
        if fault and fault.kind == "slow_headers":
            return Silent(wire, self._ledger, record)
        cached = self._cache.account(bytes(request.body), asked.input_tokens)
        scene = Scene(plan, asked, answer, fault, request.id.replace("req_", "msg_"), cached, headers)
        return (Streamed if asked.stream else Whole)(wire, self._ledger, record, scene, tongue)

    def _count(self, plan: Plan, tokens: int, request: Request, record: Record, tongue: Tongue) -> dict[str, str]:
        """Counts a call that begins, until its record is closed; the headers that tell of its limits. Raises Refused."""
        if plan.model in self._meters.overloaded:
            record.fault = "529"
            raise Refused(529, "Overloaded")
        meter = self._meters.of(
            plan.model, request.headers.get("x-api-key") or request.headers.get("authorization", "")
        )
        try:
            meter.enter(plan, tokens, time.monotonic())
        except Refused as refused:
            refused.limits = meter.headers(openai=tongue is not MESSAGES)
            raise
        record.meter = meter
        return meter.headers(openai=tongue is not MESSAGES)

    def _refuse(self, wire: Connection, request_id: str, refused: Refused, tongue: Tongue = MESSAGES) -> None:
        wire.reply(*tongue.refusal(refused, request_id), refused.headers())

    def _beside(self, wire: Connection, request: Request, path: str) -> None:
        try:
            check_key(request)
            told = count_tokens(bytes(request.body)) if path == COUNT_TOKENS else models(request.headers)
            wire.reply(200, orjson.dumps(told), {})
        except Refused as refused:
            self._refuse(wire, request.id, refused)

    def _tell(self, wire: Connection, request: Request, path: str, query: str) -> None:
        """The simulator's own routes."""
        asked = parse_qs(query, keep_blank_values=True)
        if path == "/_sim/health" and request.method == "GET":
            health = {"status": "ok", "simulated": True, "open": self._ledger.open, "recorded": len(self._ledger)}
            wire.reply(200, orjson.dumps(health), {})
        elif not wire.from_here:  # what was asked is for whoever runs it, prompts are in it
            self._refuse(wire, request.id, Refused(404, "Not found"))
        elif path == "/_sim/requests" and request.method == "GET":
            found = self._ledger.find(asked.get("model", [None])[0], asked.get("user_id", [None])[0])
            wire.reply(200, found, {})
        elif path == "/_sim/requests" and request.method == "DELETE":
            self._ledger.clear()
            wire.reply(204, b"", {})
        elif path == "/_sim/calls" and request.method == "GET":
            wire.reply(200, orjson.dumps(self._meters.told(asked.get("model", [None])[0])), {})
        elif path == "/_sim/overloaded" and request.method in ("PUT", "DELETE"):
            models = asked.get("model", [])[:_MAX_OVERLOADED]
            change = (
                self._meters.overloaded.update if request.method == "PUT" else self._meters.overloaded.difference_update
            )
            change(models)
            wire.reply(204, b"", {})
        else:
            self._refuse(wire, request.id, Refused(404, "Not found"))


def check_key(request: Request) -> None:
    """Raises Refused (401) without one. Any will do."""
    headers = request.headers
    if not headers.get("x-api-key") and not headers.get("authorization", "")[:7].lower() == "bearer ":
        raise Refused(401, "x-api-key header is required")


async def listen(simulator: Simulator, host: str, port: int) -> tuple[asyncio.Server, int]:
    """A listening server and its port. Raises OSError where the address is taken."""
    server = await asyncio.get_running_loop().create_server(simulator.connection, host, port, backlog=2048)
    bound: socket.socket = server.sockets[0]
    return server, int(bound.getsockname()[1])


def _recorded(request: Request, path: str) -> Record:
    """The record of a request, as much of it as its body lets us know, without its secrets."""
    headers = {name: "***" if name in _SECRET_HEADERS else value for name, value in request.headers.items()}
    record = Record(id=request.id, connection=request.connection, headers=headers, path=path)
    try:
        data = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return record
    record.body = bytes(request.body)
    if isinstance(data, dict):
        record.model = data["model"] if isinstance(data.get("model"), str) else None
        record.user_id = user_id_of(data) or openai_user_of(data)
    return record
