"""`python -m api.keys`, as an operator uses it."""

import json
import re
from pathlib import Path

import pytest

from api.keys.commands import main
from tests.api.keys.keyed import PEPPER
from tests.broker.store.scripted import Server

Run = tuple[int, str, str]


@pytest.fixture
def keys(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.setenv("RESPOOL_REDIS_URL", server.url)
    monkeypatch.setenv("RESPOOL_API_KEY_PEPPER", PEPPER)

    def run(*words: str) -> Run:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_key_is_made_shown_once_listed_rotated_and_revoked(keys: object) -> None:
    assert callable(keys)
    code, key, said = keys("create", "--tenant", "acme", "--scopes", "view,submit", "--expires", "90d", "--name", "app")
    assert code == 0
    assert re.fullmatch(r"rsp_[a-z2-7]{16}_[a-z2-7]{52}_[0-9a-f]{8}\n", key), "and nothing else, for $(…)"
    id_ = key.split("_")[1]
    assert f"{id_} of acme: submit, view; valid until 2" in said
    code, listed, _ = keys("list")
    head, row = listed.splitlines()
    assert head.split()[:4] == ["ID", "TENANT", "STATE", "SCOPES"]
    assert row.split()[:4] == [id_, "acme", "live", "submit,view"]
    assert key.split("_")[2] not in listed
    code, successor, _ = keys("rotate", id_, "--grace", "1h")
    assert code == 0
    code, _, said = keys("revoke", key.strip())
    assert (code, f"{id_} of acme is revoked" in said) == (0, True)
    _, listed, _ = keys("list", "--tenant", "acme")
    states = {row.split()[0]: row.split()[2] for row in listed.splitlines()[1:]}
    assert states == {id_: "revoked", successor.split("_")[1]: "live"}
    assert keys("list", "--tenant", "other")[1].splitlines()[1:] == []


def test_what_cannot_be_done_is_said(
    keys: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(keys)
    assert keys("revoke", "a" * 16) == (1, "", "keys: there is no such key\n")
    for wrong in (
        ("create", "--tenant", "Acme", "--scopes", "view"), ("create", "--tenant", "a", "--scopes", "views"),
        ("create", "--tenant", "a", "--scopes", "view", "--expires", "90"), ("revoke", "short"), ("list", "--tenant", ""),
        ("create", "--tenant", "a", "--scopes", "view", "--name", "x" * 65), (),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            main(wrong)
    capsys.readouterr()
    monkeypatch.setenv("RESPOOL_API_KEY_PEPPER", "short")
    code, _, said = keys("list")
    assert (code, said) == (
        1,
        "keys: RESPOOL_API_KEY_PEPPER: each is <version>:<secret>, the secret of 32 to 256 visible characters\n",
    )
    monkeypatch.delenv("RESPOOL_API_KEY_PEPPER")
    assert keys("list")[2].startswith("keys: RESPOOL_API_KEY_PEPPER is not set")
    monkeypatch.setenv("RESPOOL_API_KEY_PEPPER", PEPPER)
    monkeypatch.setenv("RESPOOL_REDIS_URL", "redis://127.0.0.1:1")
    assert keys("list")[0] == 1


def test_a_key_in_a_file_is_made_once_and_again_when_it_is_valid_no_more(
    keys: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(keys)
    file = tmp_path / "key"
    make = ("create", "--tenant", "local", "--scopes", "view", "--keep", str(file))
    _, first, _ = keys(*make)
    assert file.read_text() == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert keys(*make)[1] == first
    keys("revoke", first.strip())
    _, second, _ = keys(*make)
    assert second == file.read_text() != first
    file.write_text("nonsense")
    assert keys(*make)[1] not in (first, second)


def test_peppers_may_stand_in_a_file(keys: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(keys)
    file = tmp_path / "pepper"
    monkeypatch.setenv("RESPOOL_API_KEY_PEPPER_FILE", str(file))
    assert "set one of them" in keys("list")[2]
    monkeypatch.delenv("RESPOOL_API_KEY_PEPPER")
    assert keys("list")[2] == "keys: RESPOOL_API_KEY_PEPPER_FILE: No such file or directory\n"
    file.write_text(PEPPER + "\n")
    assert keys("list")[0] == 0


def test_what_is_done_to_a_key_is_in_the_audit_log(
    keys: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(keys)
    monkeypatch.setenv("RESPOOL_AUDIT_LOG", str(tmp_path / "audit"))
    _, key, _ = keys("create", "--tenant", "acme", "--scopes", "view")
    id_ = key.split("_")[1]
    _, successor, _ = keys("rotate", id_, "--grace", "1h")
    keys("revoke", id_)
    written = b"".join(file.read_bytes() for file in sorted((tmp_path / "audit").iterdir()))
    lines = [line for line in map(json.loads, written.splitlines()) if line["action"] != "begin"]
    assert [(line["action"], line["tenant"], line["id"]) for line in lines] == [
        ("key_create", "acme", id_), ("key_rotate", "acme", successor.split("_")[1]), ("key_revoke", "acme", id_),
    ]  # fmt: skip
    assert key.split("_")[2].encode() not in written
    monkeypatch.setenv("RESPOOL_AUDIT_LOG", "/proc/no-folder")
    code, _, said = keys("create", "--tenant", "acme", "--scopes", "view")
    assert (code, "RESPOOL_AUDIT_LOG cannot be written" in said) == (1, True)
