"""What RESPOOL_TENANTS may say, and what then holds for whom."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.limits import LimitSettings
from broker.settings import BrokerSettings, why
from broker.tenants import BadTenants, Tenants, TenantSetting

ACME: dict[str, Any] = {"models": ["claude-*"], "upstream_key_env": "ACME_KEY", "weight": 2}
FIELDS = ("models", "tools", "upstream_key_env", "weight", "max_running", "tokens_per_day")
NUMBERS = st.integers(1, 1000)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "models": st.lists(st.sampled_from(("a", "b*")), max_size=2),
        "tools": st.lists(st.sampled_from(("a", "b*")), max_size=2),
        "upstream_key_env": st.sampled_from(("A", "B")),
        "weight": NUMBERS,
        "max_running": NUMBERS,
        "tokens_per_day": NUMBERS,
    },
)


def parsed(**entries: object) -> Tenants:
    return Tenants.parsed(json.dumps(entries))


@given(usual=ENTRIES, own=ENTRIES)
def test_what_a_tenants_own_entry_does_not_say_the_one_for_all_does(usual: dict[str, Any], own: dict[str, Any]) -> None:
    tenants = Tenants.parsed(json.dumps({"*": usual, "acme": own}))
    nothing = TenantSetting()
    for owner, said in (("acme", {**usual, **own}), ("globex", usual), ("", usual)):
        found = tenants.of(owner)
        assert {name: getattr(found, name) for name in FIELDS} == {
            name: said.get(name, getattr(nothing, name)) for name in FIELDS
        }


def test_where_nothing_is_said_everything_is_allowed() -> None:
    assert Tenants().of("acme").allows_model("any")
    assert Tenants().of("").allows_tool("any")


def test_only_what_is_on_a_list_is_allowed_and_nothing_by_an_empty_one() -> None:
    acme = parsed(acme={"models": ["claude-*", "sim-1"], "tools": []}).of("acme")
    assert [acme.allows_model(each) for each in ("claude-opus-5-5", "sim-1", "sim-10", "gpt-5")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not acme.allows_tool("clock")


BAD: dict[str, tuple[object, str]] = {
    "no JSON": ("{", "Invalid JSON"),
    "a list": ([ACME], "Input should be"),
    "no entry": ({"acme": []}, "acme: Input should be"),
    "a bad name": ({"ACME Inc": {}}, "'ACME Inc' is no tenant's name"),
    "a name with a colon": ({"a:b": {}}, "is no tenant's name"),
    "a name that is too long": ({"a" * 33: {}}, "is no tenant's name"),
    "an unknown field": ({"acme": {"api_key": "sk-secret"}}, "acme: api_key"),
    "a key instead of its name": ({"acme": {"upstream_key_env": "sk-secret"}}, "acme: upstream_key_env"),
    "two stars": ({"acme": {"models": ["a**"]}}, "acme: models: 0: has two stars in a row"),
    "no weight": ({"acme": {"weight": 0}}, "acme: weight"),
    "a number in words": ({"acme": {"max_running": "5"}}, "acme: max_running"),
    "nothing may be submitted": ({"acme": {"max_queued": 0}}, "acme: max_queued: 0 needs max_running"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_place_and_without_secrets(name: str) -> None:
    given_, told = BAD[name]
    text = given_ if isinstance(given_, str) else json.dumps(given_)
    with pytest.raises(BadTenants) as caught:
        Tenants.parsed(text)
    assert told in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_the_settings_have_it_from_a_variable_or_a_file_and_never_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = json.dumps({"acme": ACME})
    (tmp_path / "tenants.json").write_text(text)
    assert BrokerSettings().all_tenants == Tenants()
    monkeypatch.setenv("RESPOOL_TENANTS_FILE", str(tmp_path / "tenants.json"))
    assert BrokerSettings().all_tenants.of("acme").weight == 2
    monkeypatch.setenv("RESPOOL_TENANTS", text)
    with pytest.raises(ValidationError, match="set one of them"):
        BrokerSettings()
    monkeypatch.delenv("RESPOOL_TENANTS_FILE")
    assert BrokerSettings().all_tenants == Tenants.parsed(text)
    monkeypatch.setenv("RESPOOL_TENANTS", '{"acme": {"secret": "sk-secret"}}')
    with pytest.raises(ValidationError) as caught:
        BrokerSettings()
    assert why(caught.value) == "RESPOOL_TENANTS: acme: secret: Extra inputs are not permitted"
    monkeypatch.delenv("RESPOOL_TENANTS")
    monkeypatch.setenv("RESPOOL_TENANTS_FILE", str(tmp_path / "none.json"))
    with pytest.raises(ValidationError) as caught:
        BrokerSettings()
    assert why(caught.value) == "RESPOOL_TENANTS_FILE: No such file or directory"


def test_every_limit_may_be_a_tenants_own() -> None:
    assert LimitSettings.model_fields.keys() <= TenantSetting.model_fields.keys()
