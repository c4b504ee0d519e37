"""An answer on its way out: when each token is due, and what a fault does to the socket."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import orjson

from worker.simulator.protocol import LAST_CHUNK, chunk
from worker.simulator.record import ClosedBy, Ledger, Record
from worker.simulator.refused import Refused
from worker.simulator.script import Act, Scene, Step
from worker.simulator.tongue import Tongue

# A token is written when it is due within half the 1 ms in which uvloop counts time; else it would wait a whole one.
_SLACK_S = 0.0005
# Frames in one write: the bound on how long one stream with tps=0 keeps all others waiting.
_BURST = 128
# uvloop writes at the end of its turn: what was written just before a reset needs that long to leave.
_FLUSH_S = 0.02
_FAULT_PING_S = 0.2
# A silent fault is given up after that long, so that no socket is held for ever.
_HOLD_S = 900.0


class Wire(Protocol):
    """What a response needs of its connection. `paused`: the socket takes no more bytes for now."""

    paused: bool

    def begin_stream(self, headers: Mapping[str, str]) -> None:
        """Writes the head of a chunked event stream, with these headers more."""

    def write(self, data: bytes) -> None:
        """Writes bytes as they are."""

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Writes a whole response and finishes it."""

    def finish(self) -> None:
        """The response is complete; the connection is free for the next request."""

    def close(self) -> None:
        """Ends the connection with a FIN, behind what was written."""

    def reset(self) -> None:
        """Ends the connection with an RST, now."""


class Response:
    """A response that takes time: its timers, and its end in the ledger. After the end nothing of it runs any more."""

    def __init__(self, wire: Wire, ledger: Ledger, record: Record) -> None:
        self._wire, self._ledger, self._record = wire, ledger, record
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def resume(self) -> None:
        """The socket takes bytes again."""

    def lost(self) -> None:
        """The client went away."""
        self._end("client")

    def _after(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, act)

    def _silence(self) -> None:
        """No timer runs but the one that gives up."""
        for timer in self._timers.values():
            timer.cancel()
        self._after("hold", _HOLD_S, self._reset)

    def _reset(self) -> None:
        self._end("fault")
        self._wire.reset()

    def _end(self, by: ClosedBy) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._ledger.close(self._record, by)


class Silent(Response):
    """Never answers, not even with headers."""

    def __init__(self, wire: Wire, ledger: Ledger, record: Record) -> None:
        super().__init__(wire, ledger, record)
        record.fault = "slow_headers"
        self._silence()


class Streamed(Response):
    """A streamed answer, paced by one timer of its own."""

    def __init__(self, wire: Wire, ledger: Ledger, record: Record, scene: Scene, tongue: Tongue) -> None:
        super().__init__(wire, ledger, record)
        self._scene = scene
        self._tongue = tongue
        self._steps = tongue.steps(scene)
        self._rng = random.Random(scene.plan.model)
        self._waiting = False
        self._due = self._loop.time() + scene.plan.ttft
        record.status = 200
        wire.begin_stream(scene.headers)
        wire.write(chunk(tongue.opening(scene)))
        self._timers["tick"] = self._loop.call_at(self._due, self._tick)
        if scene.plan.pings:
            self._ping_every(scene.plan.pings)

    def resume(self) -> None:
        """Goes on where the full socket stopped it."""
        if self._waiting:
            self._waiting = False
            self._tick()

    def _tick(self) -> None:
        """Writes what is due, as one chunk, and does what comes behind it."""
        if self._wire.paused:
            self._waiting = True
            return
        frames, behind = self._take()
        if frames:
            self._wire.write(chunk(b"".join(frames)))
        if behind is None:
            self._timers["tick"] = self._loop.call_at(self._due, self._tick)
        elif behind is Act.FAULT and self._scene.fault:
            self._strike(self._scene.fault.kind)
        else:
            self._complete("server")

    def _take(self) -> tuple[list[bytes], Act | None]:
        """The frames that are due, and the act behind them: None if that is the next token, at `_due`."""
        horizon = self._loop.time() + _SLACK_S
        frames: list[bytes] = []
        while self._due <= horizon and len(frames) < _BURST:
            step = next(self._steps)
            if step.act is Act.FAULT or step.act is Act.END:
                return frames, step.act
            frames.append(step.data if step.act is Act.FRAME else self._token(step))
        return frames, None

    def _token(self, step: Step) -> bytes:
        """The frame of a token that is written now; the next is due one pause later."""
        plan, text = self._scene.plan, step.text
        self._due += plan.interval * (1 + plan.jitter * (2 * self._rng.random() - 1) if plan.jitter else 1)
        if self._record.first_token_ns is None:
            self._record.first_token()
        if step.act is Act.TEXT:
            self._record.tokens += 1
            if plan.stamp:
                text = f"{time.monotonic_ns()} {text}"
        return step.data + orjson.dumps(text) + step.end

    def _strike(self, kind: str) -> None:
        """Misbehaves. The stream ends, falls silent, or (json, utf8) goes on as if nothing had happened."""
        self._record.fault = kind
        if kind in ("json", "utf8"):
            self._wire.write(chunk(self._tongue.bad_json if kind == "json" else self._tongue.bad_utf8))
            self._tick()
        elif kind in ("stall", "stall_pings"):
            self._silence()
            if kind == "stall_pings":
                self._ping_every(_FAULT_PING_S)
        elif kind == "fin":
            self._wire.write(b"1000\r\nevent: content_block_delta\ndata: {")
            self._end("fault")
            self._wire.close()
        elif kind == "cut":
            self._after("cut", _FLUSH_S, self._reset)
        else:
            if kind == "error":
                self._wire.write(chunk(self._tongue.overloaded))
            self._complete("fault")

    def _complete(self, by: ClosedBy) -> None:
        """Ends the body as HTTP wants it."""
        self._wire.write(LAST_CHUNK)
        self._end(by)
        self._wire.finish()

    def _ping_every(self, seconds: float) -> None:
        def ping() -> None:
            if not self._wire.paused:
                self._wire.write(chunk(self._tongue.ping))
            self._after("ping", seconds, ping)

        self._after("ping", seconds, ping)


class Whole(Response):
    """An answer that is not streamed: all of it, after the time that its tokens take."""

    def __init__(self, wire: Wire, ledger: Ledger, record: Record, scene: Scene, tongue: Tongue) -> None:
        super().__init__(wire, ledger, record)
        self._scene = scene
        self._tongue = tongue
        record.status = 200
        seconds = scene.plan.ttft + scene.plan.interval * scene.answer.output_tokens
        self._after("send", seconds, self._fail if scene.fault else self._send)

    def _send(self) -> None:
        self._record.first_token()
        self._record.tokens = sum(len(block.tokens) for block in self._scene.answer.blocks if block.kind == "text")
        self._end("server")
        self._wire.reply(200, orjson.dumps(self._tongue.whole(self._scene)), self._scene.headers)

    def _fail(self) -> None:
        """The nearest thing to the fault of a stream: an eof is an answer without its end's reason."""
        kind = self._scene.fault.kind if self._scene.fault else ""
        self._record.fault = kind
        if kind in ("stall", "stall_pings"):
            self._silence()
            return
        if kind == "cut":
            self._reset()
            return
        self._end("fault")
        if kind == "error":
            refused = Refused(529, "Overloaded")
            self._wire.reply(*self._tongue.refusal(refused, self._record.id), refused.headers())
        elif kind == "fin":
            self._wire.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{"id":')
            self._wire.close()
        elif kind == "eof":
            message = self._tongue.unfinished(self._tongue.whole(self._scene))
            self._wire.reply(200, orjson.dumps(message), {})
        else:
            self._wire.reply(200, b'{"id":"msg_' + (b"\xff\xfe" if kind == "utf8" else b""), {})
