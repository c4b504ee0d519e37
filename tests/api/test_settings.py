"""The API's settings: their defaults and bounds, the hosts and origins they name, and what belongs together."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api.settings import ApiSettings
from broker.settings import BrokerSettings

OWN = ApiSettings.model_fields.keys() - BrokerSettings.model_fields.keys()


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ApiSettings.model_fields:
        monkeypatch.delenv(f"RESPOOL_{name.upper()}", raising=False)


def test_the_defaults_are_the_documented_ones() -> None:
    assert ApiSettings().model_dump(include=set(OWN)) == {
        "model": None,
        "chat_system": None,
        "host": "127.0.0.1",
        "allowed_hosts": None,
        "cors_origins": None,
        "connections": 0,
        "port": 8000,
        "keep_alive": 15.0,
        "stalled_viewer": 90.0,
        "ring_bytes": 262_144,
        "replay_cache_bytes": 33_554_432,
        "http": "direct",
        "tls_certfile": None,
        "tls_keyfile": None,
        "send_buffer": 65_536,
        "link_secrets": None,
        "trusted_proxies": None,
        "streams_per_key": 0,
        "streams_per_generation": 0,
        "streams_per_address": 0,
        "fanout_pace_ms": 0,
        "shutdown": 8.0,
        "background_delay": 60.0,
        "queue_limit": 100_000,
        "audit_log": None,
        "audit_required": False,
        "api_key_pepper": None,
        "api_key_pepper_file": None,
        "require_keys": False,
        "allow_anonymous": False,
    }


@pytest.mark.parametrize(
    ("name", "least", "below", "most", "above"),
    [
        ("connections", "0", "-1", "999999", None),
        ("port", "0", "-1", "65535", "65536"),
        ("keep_alive", "1", "0.999", "120", "120.001"),
        ("stalled_viewer", "1", "0.999", "86400", None),
        ("ring_bytes", "4096", "4095", "999999999", None),
        ("replay_cache_bytes", "0", "-1", "999999999", None),
        ("send_buffer", "4096", "4095", "999999999", None),
        ("streams_per_key", "0", "-1", "999999", None),
        ("streams_per_generation", "0", "-1", "999999", None),
        ("streams_per_address", "0", "-1", "999999", None),
        ("fanout_pace_ms", "0", "-1", "1000", "1001"),
        ("shutdown", "0", "-0.001", "86400", None),
    ],
)
def test_a_setting_is_taken_within_its_bounds(
    name: str, least: str, below: str, most: str, above: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (least, most):
        monkeypatch.setenv(f"RESPOOL_{name.upper()}", value)
        assert getattr(ApiSettings(), name) == float(value)
    for value in filter(None, (below, above)):
        monkeypatch.setenv(f"RESPOOL_{name.upper()}", value)
        with pytest.raises(ValidationError, match=name):
            ApiSettings()


@pytest.mark.parametrize("way", ["direct", "plain"])
def test_bytes_reach_a_viewer_in_one_of_two_ways(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPOOL_HTTP", way)
    assert ApiSettings().http == way
    monkeypatch.setenv("RESPOOL_HTTP", way.upper())
    with pytest.raises(ValidationError, match="http"):
        ApiSettings()


@pytest.mark.parametrize(
    ("host", "allowed", "effective"),
    [
        ("127.0.0.1", None, frozenset()),
        ("::1", None, frozenset()),
        ("0.0.0.0", None, None),
        ("127.0.0.1", "a.example,b.example", {"a.example", "b.example"}),
        ("0.0.0.0", "a.example", {"a.example"}),
        ("127.0.0.1", "a.example,*", None),
    ],
)
def test_it_answers_for_the_hosts_that_it_is_told_or_else_by_where_it_listens(
    host: str, allowed: str | None, effective: set[str] | None
) -> None:
    assert ApiSettings(host=host, allowed_hosts=allowed, allow_anonymous=True).effective_hosts == effective


def test_origins_are_looked_at_when_they_are_set() -> None:
    assert ApiSettings().other_origins == frozenset()
    settings = ApiSettings(cors_origins="https://a.example,loopback")
    assert settings.cors_origins == "https://a.example,loopback"
    assert settings.other_origins == {"https://a.example", "loopback"}
    with pytest.raises(ValidationError, match="cors_origins"):
        ApiSettings(cors_origins="a.example/path")


def test_a_certificate_and_its_key_are_set_together() -> None:
    one, other = Path("cert.pem"), Path("key.pem")
    assert ApiSettings(tls_certfile=one, tls_keyfile=other).tls_keyfile == other
    for alone in ({"tls_certfile": one}, {"tls_keyfile": other}):
        with pytest.raises(ValidationError, match="RESPOOL_TLS_CERTFILE and RESPOOL_TLS_KEYFILE: set both or neither"):
            ApiSettings(**alone)  # type: ignore[arg-type]


PEPPER = "p1:" + "0" * 40


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0", "allow_anonymous": True}, False),
        ({"api_key_pepper": PEPPER}, True),
        ({"api_key_pepper": PEPPER, "host": "0.0.0.0"}, True),
        ({"api_key_pepper": PEPPER, "allow_anonymous": True}, False),
        ({"api_key_pepper": PEPPER, "allow_anonymous": True, "require_keys": True, "host": "0.0.0.0"}, True),
    ],
)
def test_it_asks_for_keys_where_they_can_be_told_from_others_unless_it_is_to_be_open(
    settings: dict[str, Any], asks: bool
) -> None:
    assert ApiSettings(**settings).asks_for_keys is asks


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"host": "0.0.0.0"}, "RESPOOL_HOST: others than this machine could reach the API"),
        ({"host": "10.0.0.1"}, "RESPOOL_ALLOW_ANONYMOUS=1"),
        ({"require_keys": True}, "RESPOOL_REQUIRE_KEYS: keys are hashed with RESPOOL_API_KEY_PEPPER"),
        ({"require_keys": True, "allow_anonymous": True, "host": "0.0.0.0"}, "RESPOOL_REQUIRE_KEYS"),
        ({"api_key_pepper": "p1:short"}, "RESPOOL_API_KEY_PEPPER: each is <version>:<secret>"),
        ({"api_key_pepper_file": Path("/nowhere/at/all")}, "RESPOOL_API_KEY_PEPPER_FILE: No such file"),
    ],
)
def test_nobody_is_let_in_by_mistake(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)) as refused:
        ApiSettings(**settings)
    assert "short" not in str(refused.value)
