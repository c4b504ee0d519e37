"""The tables of the reference pages against the code that they describe."""

import json
import re
from typing import get_args

import pytest
from annotated_types import Ge, Gt, Le
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

from api.app import GUARDED, create_app
from api.intake.problems import table as problem_table
from api.settings import ApiSettings
from broker.failures import table as failure_table
from broker.request import ChatRequest, GenerationRequest
from broker.settings import BrokerSettings
from broker.vocabulary import EVENTS, GapReason
from tests.docs.pages import PAGES, blocks, named, page, section, table
from tests.harness.vocabulary import misfit
from worker.settings import WorkerSettings

PROTOCOL = page("docs/protocol.md")
OPERATIONS = page("docs/operations.md")
SETTINGS: dict[str, FieldInfo] = {
    f"RESPOOL_{name.upper()}": field
    for settings in (BrokerSettings, ApiSettings, WorkerSettings)
    for name, field in settings.model_fields.items()
}


def limits(field: FieldInfo) -> str:
    """A setting's range, in the words of the table."""
    at_least = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    above = next((rule.gt for rule in field.metadata if isinstance(rule, Gt)), None)
    at_most = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    match (at_least, above, at_most):
        case (None, None, None):
            return ""
        case (least, None, None):
            return f"at least {least}"
        case (None, least, None):
            return f"more than {least}"
        case (least, None, most):
            return f"{least} to {most}"
    return f"more than {above}, at most {at_most}"


def default(field: FieldInfo) -> str:
    if field.default is None:
        return "as `RESPOOL_REDIS_URL`" if field is SETTINGS["RESPOOL_LOGS_URL"] else "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_in_the_table_with_its_default_and_range(name: str) -> None:
    field = SETTINGS[name]
    assert f"\n| `{name}` | {default(field)} | {limits(field)}".rstrip() in OPERATIONS


def test_no_page_names_a_setting_that_there_is_not() -> None:
    for path in PAGES:
        assert set(re.findall(r"RESPOOL_[A-Z_]+", path.read_text())) <= SETTINGS.keys(), path


@pytest.mark.parametrize("name", GenerationRequest.model_fields)
def test_every_field_of_a_request_is_in_the_table_with_its_range_and_default(name: str) -> None:
    rows = {named(row[0]): row for row in table(section(PROTOCOL, "Submitting"), "field")}
    _, kind, said_default, _ = rows[name]
    field = GenerationRequest.model_fields[name]
    if field.is_required():
        assert said_default == "required"
    elif name == "model":
        assert said_default == "`RESPOOL_MODEL`"
    elif field.default is not None:
        assert (
            said_default.strip("`") == f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        )
    schema = GenerationRequest.model_json_schema()["properties"][name]
    branches = [schema, *schema.get("anyOf", ())]
    for branch in branches:
        bounds = [branch.get(key) for key in ("minimum", "maximum", "exclusiveMinimum", "maxLength")]
        for bound in [*bounds, *branch.get("enum", ())]:
            assert bound is None or re.search(rf"(?<!\w){bound}(?!\w)", kind), (name, bound)


def test_the_table_of_fields_has_no_other() -> None:
    rows = table(section(PROTOCOL, "Submitting"), "field")
    assert {named(row[0]) for row in rows} == GenerationRequest.model_fields.keys()


def test_the_chat_form_names_its_fields() -> None:
    said = section(PROTOCOL, "The chat form").partition("as above")[0]
    assert set(re.findall(r"`(\w+)`", said)) == ChatRequest.model_fields.keys()


def test_every_route_is_an_endpoint_and_no_other_is_told_of() -> None:
    routes = {
        f"{method} {route.path_format}"
        for route in (
            *create_app(ApiSettings()).routes,
            *(route for router in GUARDED for route in router.routes),
        )
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert {named(row[0]) for row in table(section(PROTOCOL, "Endpoints"), "method and path")} == routes


def test_the_table_of_problems_is_the_code_s_own() -> None:
    assert problem_table() in PROTOCOL


@pytest.mark.parametrize("type_", EVENTS)
def test_every_event_type_is_described_with_an_example_of_its_shape(type_: str) -> None:
    lines = [line for block in blocks(PROTOCOL, "text") for line in block.split("\n") if line.startswith("data: {")]
    examples = [event for line in lines if (event := json.loads(line[6:]))["type"] == type_]
    assert f"`{type_}`" in PROTOCOL
    assert examples
    for event in examples:
        assert misfit(event) is None


def test_the_table_of_failures_is_the_code_s_own() -> None:
    assert failure_table() in section(PROTOCOL, "Endings")


def test_every_reason_of_a_gap_is_in_the_table_and_no_other() -> None:
    said = {named(row[0]) for row in table(section(PROTOCOL, "Events"), "`reason`")}
    assert said == set(get_args(GapReason))
