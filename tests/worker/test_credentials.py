"""A worker that could call nobody does not start: it would spend its generations' attempts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from broker.embedded import EmbeddedServer, free_port
from tests.stack import ROOT
from worker.credentials import NoCredentials, check_credentials


def start(home: Path, redis_url: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`python -m worker` to its end. Without a Redis it cannot live long either; what it says tells the two apart."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=ROOT,
        env={**clean, "HOME": str(home), "RESPOOL_REDIS_URL": redis_url, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only(environ: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has no credentials but those."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("arguments", [("--processes", "2"), ("--name", "alone")])
def test_a_worker_without_a_key_refuses_to_start_and_says_what_to_set(
    embedded: EmbeddedServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = start(tmp_path, embedded.url, *arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith("worker: ")
    assert "set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_key_it_gets_as_far_as_to_its_redis(tmp_path: Path) -> None:
    """Which is refused here: it would lose logs."""
    with EmbeddedServer(tmp_path / "unsafe", config={"maxmemory-policy": "allkeys-lru"}) as unsafe:
        ended = start(tmp_path, unsafe.url, ANTHROPIC_API_KEY="k")
    assert ended.returncode == 1
    assert "ANTHROPIC" not in ended.stderr
    assert "maxmemory-policy" in ended.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": ""},
        {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{free_port()}"},
    ],
    ids=["nothing", "empty", "only an address"],
)
def test_nothing_empty_words_or_an_address_alone_are_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    only(environ, tmp_path, monkeypatch)
    with pytest.raises(NoCredentials, match=r"set ANTHROPIC_API_KEY \(or ANTHROPIC_AUTH_TOKEN\)"):
        check_credentials()


def test_a_profile_that_is_not_there_is_told_as_the_sdk_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only({"ANTHROPIC_PROFILE": "elsewhere"}, tmp_path, monkeypatch)
    with pytest.raises(NoCredentials, match=r"\(profile 'elsewhere'\)"):
        check_credentials()


@pytest.mark.parametrize(
    "environ",
    [{"ANTHROPIC_API_KEY": "k"}, {"ANTHROPIC_AUTH_TOKEN": "t"}, {"ANTHROPIC_CUSTOM_HEADERS": "x-api-key: k"}],
    ids=["key", "token", "header"],
)
def test_a_key_a_token_or_a_header_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    only(environ, tmp_path, monkeypatch)
    check_credentials()
