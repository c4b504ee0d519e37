"""Settings that all processes share: their defaults and bounds, and where they are read from."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

from broker.limits import LimitSettings
from broker.settings import BrokerSettings


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BrokerSettings.model_fields:
        monkeypatch.delenv(f"RESPOOL_{name.upper()}", raising=False)
    monkeypatch.setitem(BrokerSettings.model_config, "secrets_dir", None)


def test_the_defaults_are_the_documented_ones() -> None:
    assert BrokerSettings().model_dump() == {
        "redis_url": "redis://127.0.0.1:6379/0",
        "logs_url": None,
        "cells": None,
        "ephemeral": False,
        "storage": "checked",
        "retention": 3600,
        "archive_url": None,
        "archive_after": 300.0,
        "encryption_keys": None,
        "encryption_keys_file": None,
        "encryption_service": None,
        "pickup_grace": 3.0,
        "upstreams": None,
        "log_level": "INFO",
        "tools": None,
        "secret": None,
        "tenants": None,
        "tenants_file": None,
        "webhook_secret": None,
        "webhook_allow": None,
        **dict.fromkeys(LimitSettings.model_fields),
    }


@pytest.mark.parametrize(
    ("name", "least", "below", "most", "above"),
    [
        ("retention", "60", "59", "604800", "604801"),
        ("archive_after", "1", "0.999", "86400", "86401"),
        ("pickup_grace", "0.001", "0", "60", "60.001"),
    ],
)
def test_a_setting_is_taken_within_its_bounds(
    name: str, least: str, below: str, most: str, above: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (least, most):
        monkeypatch.setenv(f"RESPOOL_{name.upper()}", value)
        assert getattr(BrokerSettings(), name) == float(value)
    for value in (below, above):
        monkeypatch.setenv(f"RESPOOL_{name.upper()}", value)
        with pytest.raises(ValidationError, match=f"(?i){name}"):
            BrokerSettings()


def test_logs_are_where_coordination_is_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPOOL_REDIS_URL", "redis://one")
    assert BrokerSettings().effective_logs_url == "redis://one"
    monkeypatch.setenv("RESPOOL_LOGS_URL", "redis://other")
    assert BrokerSettings().effective_logs_url == "redis://other"


def test_a_year_is_for_who_has_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (BrokerSettings().longest_retention, BrokerSettings().archive_after_ms) == (604_800, None)
    monkeypatch.setenv("RESPOOL_ARCHIVE_URL", "file:///tmp")
    monkeypatch.setenv("RESPOOL_ARCHIVE_AFTER", "1.5")
    monkeypatch.setenv("RESPOOL_RETENTION", "31536000")
    assert (BrokerSettings().longest_retention, BrokerSettings().archive_after_ms) == (31_536_000, 1500)
    monkeypatch.delenv("RESPOOL_ARCHIVE_URL")
    with pytest.raises(ValidationError, match="RESPOOL_ARCHIVE_URL"):
        BrokerSettings()


def test_settings_do_not_change_and_a_name_that_is_none_of_them_is_no_harm() -> None:
    settings = BrokerSettings(of_tomorrow="x")
    with pytest.raises(ValidationError, match="frozen"):
        settings.retention = 60  # type: ignore[misc]


def read_anew(secrets: bool, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """broker.settings on a machine that has /run/secrets, or has not."""
    monkeypatch.setattr(Path, "is_dir", lambda path: secrets and str(path) == "/run/secrets")
    spec = importlib.util.find_spec("broker.settings")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_secrets_are_read_where_containers_have_them_and_not_looked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read_anew(True, monkeypatch).BrokerSettings.model_config["secrets_dir"] == Path("/run/secrets")
    assert read_anew(False, monkeypatch).BrokerSettings.model_config["secrets_dir"] is None
