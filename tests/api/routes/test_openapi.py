"""The API's description of itself, held against what it does."""

import json
import re
from typing import Any

import pytest
from fastapi import Response
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV32SpecValidator

from api.app import GUARDED
from api.intake.problems import Code
from api.routes import views
from api.routes.asking import KEPT, SUBMITTED
from api.routes.openapi import EVERYWHERE, STREAM, described
from broker.request import GenerationRequest
from tests.docs import openapi
from tests.harness.client import Client
from tests.harness.vocabulary import misfit

OF_LIMITS = {"ratelimit", "ratelimit-policy"}
"""Only where requests are limited."""
OF_HTTP = {"connection", "content-length", "content-type", "date", "transfer-encoding"}
SAID = [{"role": "user", "content": "?"}]
EVERYTHING = "sim-1?tps=0&tokens=40&ttft_ms=0&seed=3&thinking=1&tool=lookup&citations=1"


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    response = client.http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    told: dict[str, Any] = response.json()
    return told


def fits(document: dict[str, Any], method: str, path: str, status: int, body: object) -> None:
    """Fails unless the body is as the document says of this answer."""
    (content,) = document["paths"][path][method]["responses"][str(status)]["content"].values()
    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
    assert [error.message for error in validator.iter_errors(body)] == []
    if status >= 400:
        assert isinstance(body, dict)
        assert body.keys() <= document["components"]["schemas"]["Problem"]["properties"].keys()


def test_what_it_says_is_what_docs_keep() -> None:
    """`make openapi` renews docs/openapi.json, so that a change of the wire is seen as one."""
    assert openapi.document() == openapi.KEPT.read_bytes()


def test_a_route_is_described_by_what_it_takes_and_answers() -> None:
    class Undocumented: ...

    kept = json.loads(openapi.KEPT.read_bytes())
    submit, events = kept["paths"]["/v1/generations"]["post"], kept["paths"]["/v1/generations/{id}/events"]["get"]
    body = submit["requestBody"]["content"]["application/json"]
    said = described(
        {202: views.Summary, 200: STREAM, 204: None, 205: Undocumented},
        (Code.EXPIRED, Code.ERASED, Code.DRAINING), body=GenerationRequest,
        takes=("Idempotency-Key",), sends={202: KEPT, 200: SUBMITTED}, example=body["example"],
    )  # fmt: skip
    assert said["response_class"] is Response
    assert said["openapi_extra"] == {"parameters": submit["parameters"], "requestBody": submit["requestBody"]}
    responses = {str(status): answer for status, answer in said["responses"].items()}
    for status in ("202", "200", "204", "410"):
        assert responses[status] == (events if status == "204" else submit)["responses"][status]
    assert responses["205"]["description"] == ""
    statuses = {str(code.value.status) for code in (Code.EXPIRED, Code.ERASED, Code.DRAINING, *EVERYWHERE)}
    assert responses.keys() == {"202", "200", "204", "205", "default", *statuses}
    plain = described({200: STREAM}, body=GenerationRequest)
    assert plain["openapi_extra"]["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/GenerationRequest"}}
    }
    assert described({200: STREAM})["openapi_extra"] == {}


def test_it_is_a_valid_document(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV32SpecValidator(document).iter_errors()] == []


def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    routes = {(method.lower(), route.path_format) for each in GUARDED for route in each.routes
              if isinstance(route, APIRoute) for method in route.methods or ()}  # fmt: skip
    told = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert told == routes | {("get", path) for path in ("/healthz", "/readyz", "/openapi.json", "/docs")}


def test_every_code_of_a_problem_is_told_where_it_may_come(document: dict[str, Any]) -> None:
    told = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
        for code in re.findall(r"`([a-z_0-9]+)`: ", answer["description"])
    }
    told |= {"already_followed"}  # of messages on a WebSocket alone
    assert told == {code.name.lower() for code in Code}
    assert set(told) == set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])


def test_every_header_that_is_sent_is_told_and_no_other(client: Client, document: dict[str, Any]) -> None:
    generation = client.submit(EVERYTHING)
    client.events(generation.id)
    one, many = "/v1/generations/{id}", "/v1/generations"
    over, body = client.record(generation.id)["last_event_id"], {"model": "sim-1?tps=0&tokens=1", "messages": SAID}
    asked: list[tuple[str, str, int, dict[str, Any]]] = [
        ("post", many, 202, {"json": body}),
        ("post", many, 200, {"json": body, "headers": {"Accept": "text/event-stream"}}),
        ("post", many, 422, {"json": {}}),
        ("post", many, 415, {"content": b"{}"}),
        ("post", many, 403, {"json": body, "headers": {"Sec-Fetch-Site": "cross-site"}}),
        ("post", "/v1/chat/stream", 200, {"json": body}),
        ("get", many, 200, {}),
        ("get", many, 421, {"headers": {"Host": "evil.example"}}),
        ("get", one, 200, {}),
        ("get", one, 406, {"headers": {"Accept": "text/plain"}}),
        ("get", f"{one}/events", 200, {}),
        ("get", f"{one}/events", 204, {"headers": {"Last-Event-ID": over}}),
        ("post", f"{one}/cancel", 409, {}),
        *(("get", path, 200, {}) for path in ("/healthz", "/readyz", "/openapi.json", "/docs")),
    ]
    for method, path, status, with_ in asked:
        answer = client.http.request(method, path.replace("{id}", generation.id), **with_)
        assert answer.status_code == status
        told = {name.lower() for name in document["paths"][path][method]["responses"][str(status)]["headers"]}
        assert told - OF_LIMITS == set(answer.headers) - OF_HTTP, (method, path, status)
    refused = client.http.put("/v1/generations")
    told = set(document["paths"][many]["get"]["responses"]["405"]["headers"])
    assert {name.lower() for name in told} == set(refused.headers) - OF_HTTP
    assert told <= document["components"]["headers"].keys()


def test_a_parameter_s_pattern_is_that_of_what_is_sent(client: Client, document: dict[str, Any]) -> None:
    id_, _ = document["paths"]["/v1/generations/{id}"]["get"]["parameters"]
    assert re.search(id_["schema"]["pattern"], client.submit(EVERYTHING).id)
    assert not re.search(id_["schema"]["pattern"], "gen_1")


def test_what_is_answered_is_as_it_says(client: Client, document: dict[str, Any]) -> None:
    generation = client.submit(EVERYTHING)
    fits(document, "post", "/v1/generations", 202, generation.record)
    client.events(generation.id)
    fits(document, "get", "/v1/generations/{id}", 200, client.record(generation.id))
    fits(document, "get", "/v1/generations", 200, client.http.get("/v1/generations").json())
    fits(document, "get", "/healthz", 200, client.http.get("/healthz").json())
    fits(document, "get", "/readyz", 200, client.http.get("/readyz").json())
    fits(document, "post", "/v1/generations/{id}/cancel", 409, client.cancel(generation.id).json())
    for status, body in ((422, {}), (422, {"model": 1}), (400, [{"a": 1}, "no object"])):
        refused = client.http.post("/v1/generations", json=body)
        if refused.status_code == status:
            fits(document, "post", "/v1/generations", status, refused.json())
    as_text = client.http.get("/v1/generations", headers={"Accept": "text/plain"})
    fits(document, "get", "/v1/generations", 406, as_text.json())
    fits(document, "get", "/v1/generations/{id}", 404, client.http.get("/v1/generations/gen_1").json())


@pytest.mark.parametrize("query", ["", "&fail=cut&at=15&times=1", "&fail=overloaded&times=1", "&fail=error&at=15"])
def test_every_event_of_a_stream_is_of_the_vocabulary(client: Client, query: str) -> None:
    generation = client.submit(EVERYTHING + query)
    frames = client.events(generation.id) + client.events(generation.id, **{"from": "snapshot"})
    frames += client.events(generation.id, "1-1")
    assert [why for frame in frames if (why := misfit(frame.data)) is not None] == []


def test_its_examples_are_accepted(client: Client, document: dict[str, Any]) -> None:
    examples = [
        (path, media["example"])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        if "example" in media
        and "{" not in path
        and "count_tokens" not in path
        and "/admin/" not in path  # which an open server answers to nobody
    ]
    assert len(examples) == 7
    for path, example in examples:
        assert client.http.post(path, json=example).status_code in (200, 202)


def test_the_page_to_try_it_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.http.get("/docs")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/docs/")
        assert client.http.get(link).status_code == 200, link
    assert client.http.get("/docs/other.js").status_code == 422
