"""The routes in this process, without a worker: what each answers, header by header, whatever state its generation is in."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.gate import Open
from api.app import create_app
from api.intake.lookout import Lookout
from api.routes.service import Service
from api.settings import ApiSettings
from broker import keys
from broker.collecting import Collector
from broker.errors import AlreadyEnded, StorageUnavailable
from broker.events import TEXT, Content, event
from broker.ids import new_generation_id
from broker.record import Ending
from broker.request import ChatRequest, GenerationRequest
from broker.settings import Trust
from broker.store.agreement import Agreement
from broker.store.logs import Logs
from broker.waiting import Wait
from tests.api.in_process import Api
from tests.broker.store.scripted import DONE, Generation, Server

GENERATIONS = "/v1/generations"
STREAM = {"accept": "text/event-stream"}
ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.fixture(autouse=True)
def _no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process lives on when the application ends."""
    monkeypatch.setattr(Collector, "begin", lambda _: None)


def running(server: Server, *texts: str) -> tuple[Generation, int]:
    """A generation, and the attempt that writes it."""
    generation = Generation(server)
    generation.create()
    attempt = generation.granted()
    block = event("block_start", index=0, block={"type": "text", "text": ""})
    generation.append(attempt, 1, block, *(Content(TEXT, text.encode()) for text in texts))
    return generation, attempt


def ended(server: Server, *texts: str, ending: Ending = DONE) -> Generation:
    generation, attempt = running(server, *texts)
    generation.finish(attempt, len(texts) + 2, ending)
    return generation


def away(*_: Any, **__: Any) -> Any:
    raise StorageUnavailable("silent")


# -- submit


def test_a_submit_is_answered_with_the_record_and_where_it_is(api: Api) -> None:
    answer = api.post(GENERATIONS, ASKED)
    shown = answer.shown
    assert answer.status == 202
    assert (shown["state"], shown["model"]) == ("queued", "sim-1")
    assert answer.headers["location"] == f"{GENERATIONS}/{shown['id']}"
    assert api.get(answer.headers["location"]).shown["state"] == "queued"


def test_a_submit_that_takes_events_is_its_stream(api: Api, server: Server) -> None:
    for path, body in ((GENERATIONS, ASKED), ("/v1/chat/stream", ASKED)):
        answer = api.post(path, body, 1, **STREAM)
        assert answer.status == 200
        assert answer.headers["location"] == f"{GENERATIONS}/{answer.headers['generation-id']}"
        assert server.do(api.service.logs.record(answer.headers["generation-id"])).state == "queued"
        assert answer.types == ["queued"]


def test_the_same_key_is_the_same_generation_and_done_is_behind_its_end(api: Api, server: Server) -> None:
    first, again = (api.post(GENERATIONS, ASKED, idempotency_key="one").shown for _ in range(2))
    assert first == again
    for path in (GENERATIONS, "/v1/chat/stream"):
        id_ = api.post(path, ASKED, 1, idempotency_key=path, **STREAM).headers["generation-id"]
        generation = Generation(server, id_)
        generation.finish(generation.granted(), 1)
        answer = api.post(path, ASKED, idempotency_key=path, **STREAM)
        assert answer.headers["generation-id"] == id_
        assert (answer.types[0], answer.types[-1]) == ("stream_start", "stream_end")
        assert answer.body.endswith(b"data: [DONE]\n\n") is (path == "/v1/chat/stream")


def test_what_a_client_takes_is_looked_at_before_its_body(api: Api) -> None:
    assert api.post(GENERATIONS, ASKED, accept="text/html").code == (406, "not_acceptable")
    assert api.post("/v1/chat/stream", ASKED, accept="application/json").code == (406, "not_acceptable")
    id_ = api.post(GENERATIONS, ASKED).shown["id"]
    for method, path, accept in (
        ("GET", f"{GENERATIONS}/{id_}/events", "application/json"),
        ("GET", f"{GENERATIONS}/{id_}", "text/event-stream"),
        ("GET", GENERATIONS, "text/event-stream"),
        ("POST", f"{GENERATIONS}/{id_}/cancel", "text/event-stream"),
    ):
        assert api.ask(method, path, {"accept": accept}).code == (406, "not_acceptable")
    assert api.get(f"{GENERATIONS}/{id_}").shown["state"] == "queued"


def test_a_process_that_goes_or_whose_logs_no_worker_reads_accepts_nothing(api: Api, server: Server) -> None:
    agreement = api.service.agreement
    api.change(agreement=cast(Agreement, SimpleNamespace(apart=True)))
    for code in ("storage_mismatch", "draining"):
        api.service.hub.draining = code == "draining"
        for path in (GENERATIONS, "/v1/chat/stream"):
            assert api.post(path, ASKED, **STREAM).code == (503, code)
        assert api.get("/readyz").code == (503, code)
        assert api.get("/healthz").shown == {"status": "ok"}
    assert server.command("EXISTS", keys.DUE) == 0
    api.service.hub.draining = False
    api.change(agreement=agreement)
    assert api.get("/readyz").shown == {"status": "ready"}


def test_a_large_body_is_read_in_turn(api: Api) -> None:
    body = {**ASKED, "messages": [{"role": "user", "content": "a" * 20_000}]}
    assert api.post(GENERATIONS, body).status == 202


# -- follow


def test_a_stream_is_what_follows_the_cursor_and_the_header_is_newer_than_the_url(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a", "b", "c")
    events = f"{GENERATIONS}/{generation.id}/events"

    def texts(query: str, number: int, **headers: str) -> list[str]:
        answer = api.get(events + query, number, **headers)
        assert answer.status == 200
        return [event.get("text", event["type"]) for event in answer.events]

    assert texts("", 5) == texts("?from=beginning", 5) == ["stream_start", "block_start", "a", "b", "c"]
    assert texts(f"?after={attempt}-3", 1) == texts("", 1, last_event_id=f"{attempt}-3") == ["c"]
    assert texts(f"?after={attempt}-1", 1, last_event_id=f"{attempt}-3") == ["c"]
    assert texts(f"?after={attempt}-2&from=snapshot", 2) == ["b", "c"]
    assert texts("?from=snapshot", 1) == ["abc"]
    generation.finish(attempt, 5)
    assert texts("", 99) == ["stream_start", "block_start", "a", "b", "c", "stream_end"]
    assert texts("?from=snapshot", 99) == ["abc", "stream_end"]
    assert api.get(events + "?from=middle").code == (422, "invalid_request")


def test_the_snapshot_is_everything_but_the_end_and_has_the_cursor_behind_it(api: Api, server: Server) -> None:
    generation = ended(server, "a", "b")
    answer = api.get(f"{GENERATIONS}/{generation.id}/events?from=snapshot")
    snapshot, _ = answer.events
    last = generation.log[-2].id
    assert snapshot["text"] == "ab"
    assert snapshot["type"] == "snapshot"
    assert b"}\nid: %b\n\ndata: " % str(last).encode() in answer.body
    assert answer.body.count(b"data: ") == 2
    queued = Generation(server)
    queued.create()
    answer = api.get(f"{GENERATIONS}/{queued.id}/events?from=snapshot", 1)
    assert (answer.types, answer.events[0]["position"]) == (["queued"], 0)


def test_behind_the_end_there_is_nothing_for_ever(api: Api, server: Server) -> None:
    generation = ended(server, "a")
    events = f"{GENERATIONS}/{generation.id}/events"
    last = generation.log[-1].id
    for answer in (api.get(events, last_event_id=str(last)), api.get(f"{events}?after={last}")):
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (204, b"", "no-store")
    assert not api.service.hub._feeds, "what has ended is read from its log, and not watched"
    assert api.get(events, last_event_id=str(generation.log[-2].id)).types == ["stream_end"]
    assert not api.service.hub._feeds


def test_a_cursor_that_names_nothing_is_a_gap_and_then_the_whole_log(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    events = f"{GENERATIONS}/{generation.id}/events"
    for cursor, reason in (("x", "bad_cursor"), (f"{attempt}-7", "unknown_cursor")):
        for answer in (
            api.get(events, 4, last_event_id=cursor),
            api.get(f"{events}?after={cursor}&from=snapshot", 4),
        ):
            assert answer.events[0]["reason"] == reason
            assert answer.types == ["gap", "stream_start", "block_start", "text"]


def test_who_waits_in_the_queue_is_told_the_place(api: Api) -> None:
    first, second = (api.post(GENERATIONS, ASKED).shown["id"] for _ in range(2))
    for place, id_ in enumerate((first, second)):
        answer = api.get(f"{GENERATIONS}/{id_}/events", 1)
        assert [(event["type"], event["position"]) for event in answer.events] == [("queued", place)]
    assert sorted(cast(Wait, feed._wait).position for feed in api.service.hub._feeds.values()) == [0, 1], (
        "each is told once"
    )


@pytest.mark.parametrize("path", [GENERATIONS, "/v1/chat/stream"])
def test_a_stream_without_redis_is_told_to_come_back_and_cut(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def silent(*_: Any) -> Any:
        await asyncio.Event().wait()

    id_ = api.post(path, ASKED, 1, idempotency_key="key", **STREAM).headers["generation-id"]
    for visit in (away, silent):
        monkeypatch.setattr(Logs, "visit", visit)
        monkeypatch.setattr("api.routes.arriving._VISIT_SECONDS", 0.01)
        answer = api.get(f"{GENERATIONS}/{id_}/events")
        assert (answer.status, answer.types, answer.cut) == (200, ["drain"], True)
        answer = api.post(path, ASKED, idempotency_key="key", **STREAM)
        assert (answer.status, answer.types, answer.cut) == (200, ["drain"], True)
        assert answer.headers["generation-id"] == id_


def test_a_process_that_goes_sends_viewers_to_another(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = api.post(GENERATIONS, ASKED, idempotency_key="key").shown["id"]
    monkeypatch.setattr(Service, "refuse_unless_accepting", lambda _: None)
    api.service.hub.draining = True
    for answer in (
        api.get(f"{GENERATIONS}/{id_}/events"),
        api.post(GENERATIONS, ASKED, idempotency_key="key", **STREAM),
    ):
        assert (answer.status, answer.types, answer.cut) == (200, ["drain"], True)
    assert answer.headers["generation-id"] == id_


def test_what_there_is_not_is_404_and_what_there_was_is_410(api: Api, server: Server) -> None:
    gone = ended(server)
    server.command("DEL", gone.keys[0], gone.keys[1])
    for id_, code in (
        ("gen_x", (404, "not_found")),
        (new_generation_id(), (404, "not_found")),
        (gone.id, (410, "expired")),
    ):
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
            assert api.ask(method, f"{GENERATIONS}/{id_}{path}", {}).code == code


def test_an_id_of_no_such_shape_is_404_without_a_look_at_redis(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("record", "visit", "cancel"):
        monkeypatch.setattr(Logs, asked, away)
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        assert api.ask(method, f"{GENERATIONS}/gen_x{path}", {}).code == (404, "not_found")


# -- read, list, cancel


def test_the_record_has_all_that_was_produced(api: Api, server: Server) -> None:
    generation = ended(server, "a", "b")
    answer = api.get(f"{GENERATIONS}/{generation.id}")
    shown = answer.shown
    assert answer.status == 200
    assert (shown["text"], shown["state"], shown["last_event_id"]) == ("ab", "completed", str(generation.last))


def test_the_list_pages_newest_first(api: Api) -> None:
    ids = [api.post(GENERATIONS, ASKED).shown["id"] for _ in range(5)]
    found, cursor = [], ""
    for number in (2, 2, 1):
        page = api.get(f"{GENERATIONS}?limit=2{cursor}").shown
        assert len(page["data"]) == number
        found += [each["id"] for each in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert sorted(found) == sorted(ids)
    assert [each["id"] for each in api.get(GENERATIONS).shown["data"]] == found
    assert "text" not in page["data"][0]


def test_the_list_has_20_at_first_and_100_at_most(api: Api, server: Server) -> None:
    for _ in range(21):
        api.post(GENERATIONS, ASKED)
    assert len(api.get(GENERATIONS).shown["data"]) == 20
    assert len(api.get(f"{GENERATIONS}?limit=100").shown["data"]) == 21
    assert len(api.get(f"{GENERATIONS}?limit=1").shown["data"]) == 1
    for wrong in (
        "limit=0",
        "limit=101",
        "cursor=1",
        "cursor=1.gen_x",
        f"cursor=x.{new_generation_id()}",
        "state=done",
    ):
        assert api.get(f"{GENERATIONS}?{wrong}").code == (422, "invalid_request")


def test_the_list_by_state_has_what_is_in_that_state_and_drops_what_has_expired(api: Api, server: Server) -> None:
    ids = [api.post(GENERATIONS, ASKED).shown["id"] for _ in range(4)]
    assert api.post(f"{GENERATIONS}/{ids[0]}/cancel").status == 200
    server.command("HSET", keys.record(ids[1]), "state", "running")  # the list does not know yet
    server.command("DEL", keys.record(ids[2]))

    def listed(query: str) -> set[str]:
        return {each["id"] for each in api.get(GENERATIONS + query).shown["data"]}

    assert listed("?state=queued") == {ids[3]}
    assert listed("?state=cancelled") == {ids[0]}
    assert listed("") == {ids[0], ids[1], ids[3]}
    assert server.command("ZSCORE", keys.index("all"), ids[2]) is None
    assert server.command("ZSCORE", keys.index("queued"), ids[3]) is not None


def test_a_page_is_filled_from_what_follows_where_the_list_lags(api: Api, server: Server) -> None:
    ids = sorted((api.post(GENERATIONS, ASKED).shown["id"] for _ in range(14)), reverse=True)
    for id_ in ids[:2]:
        server.command("HSET", keys.record(id_), "state", "running")
    order = [each["id"] for each in api.get(GENERATIONS).shown["data"]]
    lagging = order[:8]
    for id_ in order:
        server.command("HSET", keys.record(id_), "state", "running" if id_ in lagging else "queued")
    page = api.get(f"{GENERATIONS}?state=queued&limit=2").shown
    assert [each["id"] for each in page["data"]] == order[8:10]
    for id_ in order[:12]:
        server.command("HSET", keys.record(id_), "state", "running")
    page = api.get(f"{GENERATIONS}?state=queued&limit=2").shown
    assert page["data"] == []
    assert page["next_cursor"].endswith(order[9]), "five looks at two, and no more"
    page = api.get(f"{GENERATIONS}?state=queued&limit=2&cursor={page['next_cursor']}").shown
    assert [each["id"] for each in page["data"]] == order[12:]


def test_a_cancel_of_what_waits_ends_it_and_lists_it_so(api: Api, server: Server) -> None:
    id_ = api.post(GENERATIONS, ASKED).shown["id"]
    for _ in range(2):
        answer = api.post(f"{GENERATIONS}/{id_}/cancel")
        assert (answer.status, answer.shown["state"]) == (200, "cancelled")
    assert server.command("ZSCORE", keys.index("cancelled"), id_) is not None
    assert server.command("ZSCORE", keys.index("queued"), id_) is None


def test_a_cancel_of_what_runs_is_202_and_lists_nothing(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed: list[str] = []
    monkeypatch.setattr(Service, "file_ended", lambda _, id_: filed.append(id_))
    generation, _ = running(server, "a")
    answer = api.post(f"{GENERATIONS}/{generation.id}/cancel")
    assert (answer.status, answer.shown["state"], filed) == (202, "running", [])


def test_a_cancel_of_what_has_ended_is_409(api: Api, server: Server) -> None:
    answer = api.post(f"{GENERATIONS}/{ended(server).id}/cancel")
    assert (answer.code, answer.json["state"]) == ((409, "already_ended"), "completed")


def test_an_end_that_redis_loses_while_it_is_waited_for_does_not_hinder_a_cancel(api: Api, server: Server) -> None:
    generation = Generation(server)
    generation.create()

    class Losing(Logs):
        tries = 0

        async def cancel(self, id_: str) -> Any:
            self.tries += 1
            if self.tries == 1:
                raise AlreadyEnded("completed")
            return await super().cancel(id_)

    api.change(logs=Losing(server.redis))
    answer = api.post(f"{GENERATIONS}/{generation.id}/cancel")
    assert (answer.status, answer.shown["state"]) == (200, "cancelled")
    gone = new_generation_id()
    api.change(logs=Losing(server.redis))
    assert api.post(f"{GENERATIONS}/{gone}/cancel").code == (404, "not_found")
    assert cast(Losing, api.service.logs).tries == 1, "the record is looked at first"


def test_a_cancel_whose_end_redis_loses_before_it_is_read_has_not_ended_it_yet(api: Api, server: Server) -> None:
    generation = Generation(server)
    generation.create()

    class Forgetful(Logs):
        async def cancel(self, id_: str) -> Any:
            return "cancelled"

    api.change(logs=Forgetful(server.redis))
    answer = api.post(f"{GENERATIONS}/{generation.id}/cancel")
    assert (answer.status, answer.shown["state"]) == (202, "queued")


# -- ends that are not safe yet


class Unsafe:
    """No disk says that it has an end, until it is told to."""

    def __init__(self) -> None:
        self.says = asyncio.Event()
        self.logs: Logs

    async def synced(self, id_: str) -> Logs:
        await self.says.wait()
        return self.logs

    def cancel(self) -> None: ...


def strict_end(api: Api, server: Server, unsafe: Unsafe) -> Generation:
    """One whose end is written, and not safe."""
    unsafe.logs = api.service.logs
    api.service.hub.strict_ends._disk = cast(Any, unsafe)
    id_ = api.post(GENERATIONS, {**ASKED, "durability": "strict"}, idempotency_key="key").shown["id"]
    generation = Generation(server, id_)
    generation.finish(generation.granted(), 1)
    return generation


def test_no_list_and_no_submit_shows_an_end_that_is_not_safe(api: Api, server: Server) -> None:
    unsafe = Unsafe()
    generation = strict_end(api, server, unsafe)
    again = {**ASKED, "durability": "strict"}
    assert api.post(GENERATIONS, again, idempotency_key="key").shown["state"] == "running"
    (shown,) = api.get(GENERATIONS).shown["data"]
    assert (shown["state"], shown["finished_at_ms"]) == ("running", None)
    unsafe.says.set()
    assert api.get(f"{GENERATIONS}/{generation.id}").shown["state"] == "completed"
    assert api.get(GENERATIONS).shown["data"][0]["state"] == "completed"


def test_a_reader_of_an_end_that_does_not_become_safe_is_told_to_come_again(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.service._CONFIRM_SECONDS", 0.05)
    generation = strict_end(api, server, Unsafe())
    assert api.get(f"{GENERATIONS}/{generation.id}").code == (503, "redis_unavailable")
    assert api.post(f"{GENERATIONS}/{generation.id}/cancel").code == (503, "redis_unavailable")


# -- the process


def test_a_process_is_ready_when_both_roles_of_redis_take_writes_in_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    asked: list[tuple[Any, Trust | None]] = []

    async def safe(redis: Any, trust: Trust) -> None:
        asked.append((redis, trust))

    async def writable(redis: Any) -> None:
        asked.append((redis, None))

    monkeypatch.setattr("api.routes.service.check_safe", safe)
    monkeypatch.setattr("api.routes.service.check_writable", writable)
    assert api.get("/readyz").shown == {"status": "ready"}
    coordination, logs = api.service.coordination.redis, api.service.logs.redis
    assert asked == [(coordination, "checked"), (coordination, None), (logs, "checked"), (logs, None)]
    assert coordination is not logs
    monkeypatch.setattr("api.routes.service.check_writable", silent)
    monkeypatch.setattr("api.routes.service._READY_SECONDS", 0.01)
    assert api.get("/readyz").code == (503, "redis_unavailable")


def test_a_viewer_whose_generation_is_watched_is_served_without_a_look_at_redis(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation, attempt = running(server, "a", "b")
    events = f"{GENERATIONS}/{generation.id}/events"
    assert api.get(events, 4).types[-1] == "text"

    api.until_known(generation.id)
    monkeypatch.setattr(Logs, "visit", away)
    assert api.get(events, 4).types[-1] == "text"
    assert api.get(f"{events}?after={attempt}-2", 1).types == ["drain"], "only the plain form comes by there"


def test_nothing_else_is_served(api: Api) -> None:
    for path in ("/healthz/", "/redoc", "/v1", "/generations", f"{GENERATIONS}/"):
        assert api.get(path).code == (404, "not_found")
    assert api.get("/docs").status == api.get("/openapi.json").status == 200
    assert api.get("/healthz").headers["x-content-type-options"] == "nosniff"


def test_its_settings_reach_what_it_is_made_of(server: Server) -> None:
    with Api(server, pickup_grace=7.5, retention=600, ephemeral=True) as api:
        submissions = api.service.submissions
        assert (submissions.pickup_ms, submissions.retention, submissions.derivation) == (7500, 600, None)
        assert api.service.trust == "ephemeral"
    policy = Open()
    assert create_app(ApiSettings(redis_url=server.url), policy).state.policy is policy
    with Api(server, logs_url=server.url.replace("db=0", "db=1")) as api:
        assert api.service.submissions.derivation is not None
        assert api.get("/v1/generations").shown == {"data": [], "next_cursor": None}


@pytest.mark.parametrize("two_servers", [True, False])
def test_what_coordination_loses_is_put_back_at_the_latest_when_the_process_goes(
    server: Server, two_servers: bool
) -> None:
    settings = {"logs_url": server.url.replace("db=0", "db=1")} if two_servers else {}
    with Api(server, **settings) as api:
        id_ = api.post(GENERATIONS, ASKED).shown["id"]
        server.command("DEL", keys.DUE)
    assert (server.command("ZSCORE", keys.DUE, id_) is not None) is two_servers
    assert isinstance(getattr(api.service.submissions.watch, "__self__", None), Lookout) is two_servers


def test_a_process_says_which_logs_it_keeps_before_it_takes_requests(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Agreement) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Agreement, "run", never)
    with Api(server):
        assert server.command("EXISTS", keys.announced("api")) == 1


def test_a_process_goes_when_what_it_runs_has_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def slow(_: Agreement) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _turn in range(500):
                await asyncio.sleep(0)
            steps.append("ended")

    monkeypatch.setattr(Agreement, "run", slow)
    with Api(server):
        assert steps == []
    assert steps == ["ended"]


def test_what_lives_as_long_as_the_process_is_set_aside_when_it_has_started(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Collector] = []
    monkeypatch.setattr(Collector, "begin", lambda self: begun.append(self))
    with Api(server):
        assert len(begun) == 1


def test_the_description_has_examples_that_are_accepted(server: Server) -> None:
    described = create_app(ApiSettings(redis_url=server.url)).openapi()
    assert (described["info"]["title"], described["info"]["version"] != "") == ("Respool", True)
    for path, model in ((GENERATIONS, GenerationRequest), ("/v1/chat/stream", ChatRequest)):
        media = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert model.model_validate(media["example"]).messages
        stream = described["paths"][path]["post"]["responses"]["200"]
        assert {"Location", "Generation-Id"} <= stream["headers"].keys()
    parameters = described["paths"][f"{GENERATIONS}/{{id}}/events"]["get"]["parameters"]
    assert {each["name"]: each["schema"].get("default") for each in parameters if "name" in each}["from"] == "beginning"
    for path in ("/healthz", "/readyz"):
        assert described["paths"][path]["get"]["responses"].keys() & {"200", "201"} == {"200"}
