"""What counts as something to call the upstream with. As `python -m worker` asks it, but without a process."""

import os
from typing import ClassVar

import anthropic
import pytest

from worker.upstreams import NoCredentials
from worker.upstreams.anthropic.credentials import check_credentials


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize(
    "environ",
    [
        {"ANTHROPIC_API_KEY": "k"},
        {"ANTHROPIC_AUTH_TOKEN": "t"},
        {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"},
        {"ANTHROPIC_CUSTOM_HEADERS": "X-Api-Key: k"},
        {"ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer t"},
    ],
)
def test_a_key_a_token_or_a_header_of_the_two_is_enough(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    check_credentials()


@pytest.mark.parametrize("set_", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_key_or_a_token_is_enough_whatever_else_is_set(set_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(set_, "k")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "elsewhere")
    check_credentials()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": ""},
        {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"},
        {"ANTHROPIC_CUSTOM_HEADERS": "x-other: k"},
        {"ANTHROPIC_CUSTOM_HEADERS": "x-api-key: "},
    ],
)
def test_nothing_an_empty_word_or_another_header_is_not(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NoCredentials, match="set ANTHROPIC_API_KEY"):
        check_credentials()


def test_what_the_sdk_cannot_use_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "elsewhere")
    with pytest.raises(NoCredentials, match=r"the Anthropic SDK cannot use its credentials: .*elsewhere"):
        check_credentials()


def test_a_profile_that_the_sdk_can_use_is_enough_without_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        credentials = object()
        default_headers: ClassVar[dict[str, str]] = {}

    monkeypatch.setattr(anthropic, "AsyncAnthropic", Client)
    check_credentials()
