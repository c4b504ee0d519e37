"""What of a request is held against a tenant's lists."""

from typing import Any

import pytest

from broker.allowed import refuse_unless_allowed
from broker.errors import NotAllowed
from broker.request import GenerationRequest
from broker.tenants import TenantSetting

LISTED = TenantSetting(models=["claude-*"], tools=["web_search_*", "clock"])
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
OWN = {"name": "mine", "input_schema": {}}


def refused(setting: TenantSetting = LISTED, **asked: Any) -> tuple[str, list[str]] | None:
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "Hi"}], **asked}
    try:
        refuse_unless_allowed(GenerationRequest.model_validate(body), setting)
    except NotAllowed as error:
        return error.what, list(error.places)
    return None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, None),
        ({"model": "gpt-5"}, ("model", ["/model"])),
        ({"fallback": ["claude-opus-5-5", "gpt-5"]}, ("model", ["/fallback/1"])),
        ({"tools": [OWN, {**OWN, "name": "x", "type": "custom"}, SEARCH]}, None),
        ({"tools": [OWN, {"type": "code_execution_20250522", "name": "c"}]}, ("tool", ["/tools/1"])),
        ({"tools": [{"type": 7, "name": "c"}]}, ("tool", ["/tools/0"])),
        ({"server_tools": ["clock", "calculator"]}, ("tool", ["/server_tools/1"])),
    ],
)
def test_each_model_and_each_tool_that_others_run_must_be_on_the_lists(asked: dict[str, Any], told: object) -> None:
    assert refused(**asked) == told
    assert refused(TenantSetting(), **asked) is None, "where there are no lists, nothing is refused"
