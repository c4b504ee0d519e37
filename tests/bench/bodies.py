"""What the dearest bodies do to others: health checks of one API process while many of them come at once, and tokens of others
while long prompts are accepted and produced."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from api.intake.body import MAX_BRACKETS, MAX_BYTES, MAX_COMMAS
from broker.request import MANY_MESSAGES
from tests.bench.figures import percentile
from tests.bench.load import Load
from tests.bench.probe import Caller
from tests.bench.report import Figures
from tests.bench.systems import Respool

_AT_ONCE = 60
_PAUSE_SECONDS = 0.002

_WATCHED = 10
_TOKENS_A_SECOND = 100
_PROMPTS = 20
_PROMPT_PAUSE_SECONDS = 0.2
_LETTERS = 65
"""Of each of 10,000 messages, which are 1 MiB then."""


def dear_bodies() -> dict[str, bytes]:
    """By name, of at most 1 MiB each. The first is refused unread; the others are read, and are the dearest that are."""
    keys = ",".join(f'"{number:x}":1' for number in range(MAX_COMMAS))
    objects = '{"a":1},' * (MAX_BRACKETS // 2 - 3) + "1"
    messages = [{"role": "user", "content": "a"}] * MANY_MESSAGES
    bodies = {
        "nested brackets": b"[" * MAX_BYTES,
        "keys": b'{"metadata":{' + keys.encode() + b"}}",
        "objects": b'{"tools":[' + objects.encode() + b"]}",
        "numbers": b'{"tools":[' + b"1.23456789012e-7," * (MAX_COMMAS - 1) + b"1]}",
        "messages": json.dumps({"model": "sim-1?tokens=1&tps=0", "messages": messages, "max_tokens": 0}).encode(),
    }
    assert all(len(body) <= MAX_BYTES for body in bodies.values())
    return bodies


def bodies(figures: Figures) -> None:
    """60 at once of each, and the health checks meanwhile."""
    with Respool() as system:
        for name, body in dear_bodies().items():
            slow = sorted(_health_during(system.port, body))
            what = f"health check while {_AT_ONCE} bodies of {name} come at once, "
            for percent, target in ((50, None), (99, 100)):
                value = percentile(slow, percent / 100) * 1000
                figures.put("respool", f"{what}p{percent}", "ms", value, target=target, samples=len(slow))


def prompts(figures: Figures) -> None:
    """How late others' tokens are while prompts of 1 MiB, of 10,000 messages, come one after the other and are answered."""
    with Respool() as system, Load(system.port, system.folder) as load:
        caller = Caller(system.port)
        model = f"sim-1?ttft_ms=50&tps={_TOKENS_A_SECOND}&tokens=30000&stamp=1&jitter=0.2&seed="
        ids = [caller.submit(f"{model}{seed}") for seed in range(_WATCHED)]
        load.open(f"/v1/generations/{id_}/events" for id_ in ids)
        load.connect()
        time.sleep(2)
        for what, many in (("nothing else comes", 0), (f"{_PROMPTS} prompts of 1 MiB come in turn", _PROMPTS)):
            load.mark()
            for _ in range(many):
                caller.call("POST", "/v1/generations", _long_prompt())
                time.sleep(_PROMPT_PAUSE_SECONDS)
            if not many:
                time.sleep(_PROMPTS * _PROMPT_PAUSE_SECONDS)
            seen = load.tell()[0]
            for name, rank in (("p50", "p50"), ("p99", "p99"), ("latest", "max")):
                figures.put("respool", f"upstream writes → viewer while {what}, {name}", "ms", seen.ms("latency", rank))


def _long_prompt() -> dict[str, object]:
    roles = ("user", "assistant")
    messages = [{"role": roles[turn % 2], "content": "a" * _LETTERS} for turn in range(MANY_MESSAGES)]
    return {"model": "sim-1?tokens=1&tps=0&ttft_ms=0", "messages": messages}


def _health_during(port: int, body: bytes) -> list[float]:
    """Seconds that each health check took, one after the other, until the last body was answered."""
    begin = threading.Barrier(_AT_ONCE + 1)

    def submit() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        begin.wait()
        connection.request("POST", "/v1/generations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status not in (400, 422):
            raise RuntimeError(f"a body of {len(body)} bytes was answered with {answer.status}")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        submits = [pool.submit(submit) for _ in range(_AT_ONCE)]
        begin.wait()
        took = list(_checks(port, lambda: all(each.done() for each in submits)))
        for each in submits:
            each.result()
    return took


def _checks(port: int, over: Callable[[], bool]) -> Iterator[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not over():
        asked = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        yield time.perf_counter() - asked
        time.sleep(_PAUSE_SECONDS)
    connection.close()
