"""Upstreams that cannot be called: the worker refuses to start and names them, and so does its check."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker import credentials
from broker.upstreams import UpstreamSetting, parsed
from tests.harness.processes import ROOT
from worker.upstreams import Call, NoCredentials, UpstreamFailure, opening
from worker.upstreams.opening import check_upstreams, open_upstreams
from worker.upstreams.routed import Routed

GPT: dict[str, Any] = {"name": "gpt", "kind": "openai-responses", "key": "GPT_KEY", "models": ["gpt-*"]}


def start(upstreams: object, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPENAI_"))}
    told = {"RESPOOL_UPSTREAMS": json.dumps(upstreams), "RESPOOL_REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=ROOT, env={**clean, **told, **environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


BAD: dict[str, tuple[object, str]] = {
    "an unknown kind": ([{**GPT, "kind": "gemini"}], "RESPOOL_UPSTREAMS: entry 1: kind"),
    "a doubled name": ([GPT, GPT], "RESPOOL_UPSTREAMS: two upstreams have the name gpt"),
    "no key": ([GPT], "upstream gpt: no key to call it with: set GPT_KEY"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("arguments", [("--name", "alone"), ("--check",)])
def test_a_worker_that_could_not_call_an_upstream_refuses_to_start_and_names_it(
    name: str, arguments: tuple[str, ...]
) -> None:
    upstreams, expected = BAD[name]
    ended = start(upstreams, *arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"worker: {expected}")
    assert "Traceback" not in ended.stderr


def test_an_api_refuses_to_start_on_what_it_cannot_read() -> None:
    told = {**os.environ, "RESPOOL_UPSTREAMS": json.dumps([GPT, GPT])}
    command = [sys.executable, "-m", "api", "--alone"]
    ended = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, "api: RESPOOL_UPSTREAMS: two upstreams have the name gpt\n")


def upstreams(*entries: dict[str, Any]) -> tuple[UpstreamSetting, ...]:
    return parsed(json.dumps(entries))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT_KEY", "k")
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    with pytest.raises(NoCredentials, match=r"upstream gpt: its SDK is not installed: pip install 'respool\[openai\]'"):
        check_upstreams(upstreams(GPT))


def test_a_key_may_be_in_a_secret_file_and_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GPT_KEY", raising=False)
    monkeypatch.setattr(credentials, "_SECRETS", tmp_path)
    (setting,) = upstreams(GPT)
    with pytest.raises(NoCredentials, match="upstream gpt"):
        check_upstreams([setting])
    (tmp_path / "gpt_key").write_text("of the file\n")
    check_upstreams([setting])
    assert opening._key(setting) == "of the file"
    monkeypatch.setenv("GPT_KEY", "of the environment")
    assert opening._key(setting) == "of the environment"
    assert capsys.readouterr() == ("", ""), "a key is told to nobody"


def test_an_anthropic_one_without_a_name_of_its_key_has_the_sdks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    claude = {"name": "claude", "kind": "anthropic", "models": ["*"]}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    check_upstreams(upstreams(claude))
    check_upstreams(None)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(NoCredentials, match="upstream claude: no key"):
        check_upstreams(upstreams(claude))


async def _first(model: str, *entries: dict[str, Any]) -> str:
    opened = open_upstreams(upstreams(*entries), 5)
    assert isinstance(opened, Routed)
    try:
        async with opened.answer_to(Call({"model": model, "max_tokens": 5, "messages": []})):
            return "answered"
    except UpstreamFailure as failure:
        return failure.code
    finally:
        await opened.aclose()


def test_a_model_that_none_serves_fails_by_its_name_and_others_are_called(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("GPT_KEY", "k")
    nowhere = {**GPT, "base_url": "http://127.0.0.1:1/v1"}
    assert asyncio.run(_first("claude-haiku-5-5", nowhere)) == "unknown_model"
    assert asyncio.run(_first("gpt-5.6", nowhere)) == "upstream_unreachable"
    assert asyncio.run(_first("gpt-5.6", {**nowhere, "kind": "openai-chat", "key": None})) == "upstream_unreachable"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    claude = {"name": "claude", "kind": "anthropic", "base_url": "http://127.0.0.1:1", "models": ["claude-*"]}
    assert asyncio.run(_first("claude-haiku-5-5", nowhere, claude)) == "upstream_unreachable"
