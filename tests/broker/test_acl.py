"""What API and worker may do in Redis: the tables cover every key, channel and command that there is, and say no more."""

import fnmatch
import re
from importlib.resources import files
from pathlib import Path

import pytest

from broker import acl, keys

WORKERS_ALONE = {"zpopmin", "blmpop", "scan"}
APIS_ALONE = {"zrangebylex"}
DANGEROUS = frozenset((
    "flushall", "flushdb", "keys", "config", "config|set", "debug", "acl", "shutdown", "save", "bgsave", "replicaof",
    "slaveof", "migrate", "restore", "dump", "module", "monitor", "client|kill", "client|list", "swapdb", "randomkey",
    "function", "script|flush", "sort",
))  # fmt: skip


def named() -> set[str]:
    """The keys and channels of the page, as one that exists would be called."""
    found = set(re.findall(r"`((?:\{gen\}|respool):[^`]+)`", keys.__doc__ or ""))
    return {re.sub(r"<[^>]+>", "x", name).replace("{gen}", "{gen_0}") for name in found}


@pytest.mark.parametrize("name", sorted(named()))
def test_whatever_the_page_of_keys_names_is_somebodys(name: str) -> None:
    assert [pattern for pattern in (*acl.KEYS, *acl.CHANNELS) if fnmatch.fnmatchcase(name, pattern)]


@pytest.mark.parametrize("pattern", [each for each in (*acl.KEYS, *acl.CHANNELS) if not each.startswith("arq:")])
def test_no_pattern_is_for_nothing(pattern: str) -> None:
    if pattern != "respool:queue:health-check":  # arq's own
        assert [name for name in named() if fnmatch.fnmatchcase(name, pattern)]


def test_every_command_of_a_script_may_be_called_by_those_who_run_scripts() -> None:
    texts = [each.read_text() for each in files("broker.store.lua").iterdir() if each.name.endswith(".lua")]
    called = {name.lower() for text in texts for name in re.findall(r"redis\.p?call\('([A-Za-z]+)'", text)}
    assert called
    for role in acl.ROLES:
        allowed = {each.partition("|")[0] for each in acl.COMMANDS[role].split()}
        assert called - allowed <= (WORKERS_ALONE if role == "api" else APIS_ALONE)


@pytest.mark.parametrize("role", acl.ROLES)
def test_nobody_may_change_the_server_or_empty_it(role: acl.Role) -> None:
    allowed = set(acl.COMMANDS[role].split())
    assert not allowed & DANGEROUS
    assert "+@all" not in set(acl.rules(role))


def test_the_command_prints_a_line_for_each_without_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in acl.ROLES:
        (tmp_path / role).write_text(f"{role}-has-a-long-password\n")
    acl.main([f"--{role}-password-file={tmp_path / role}" for role in acl.ROLES])
    printed = capsys.readouterr().out.splitlines()
    assert [each.split()[1] for each in printed] == ["respool-api", "respool-worker"]
    assert "long-password" not in "".join(printed)


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    for role in acl.ROLES:
        (tmp_path / role).write_text("short\n")
    with pytest.raises(SystemExit, match="at least 16 characters"):
        acl.main([f"--{role}-password-file={tmp_path / role}" for role in acl.ROLES])
