"""What is noted, and what becomes of it."""

import errno
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.audit import journal as journals
from api.audit.journal import NO_JOURNAL, FileJournal, Journal, open_journal
from api.audit.trail import BadAudit, Trail
from api.audit.verify import verify


@dataclass(frozen=True)
class Someone:
    owner: str = "acme"
    key: str = "key_1"
    address: str = "192.0.2.1"


def lines(folder: Path) -> list[dict[str, Any]]:
    """All but headers."""
    raw = [line for file in sorted(folder.iterdir()) for line in file.read_bytes().splitlines()]
    return [line for line in map(orjson.loads, raw) if line["action"] != "begin"]


class Full:
    """Stands in for the system's write: the disk takes half of what it is given, then nothing, until it is mended."""

    def __init__(self) -> None:
        self.full = False
        self._write = os.write

    def __call__(self, file: int, data: memoryview) -> int:
        if not self.full:
            return self._write(file, data)
        if len(data) > 100:
            return self._write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Full:
    full = Full()
    monkeypatch.setattr(os, "write", full)
    return full


def test_a_note_says_who_did_what_to_which_with_what_result(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, "api")
    journal.note("submit", Someone(), "gen_1")
    journal.note("deny", None, "gen_2", "unauthenticated", "192.0.2.7")
    journal.close()
    submit, deny = lines(tmp_path)
    assert {name: submit[name] for name in ("action", "key", "tenant", "id", "result", "peer")} == {
        "action": "submit", "key": "key_1", "tenant": "acme", "id": "gen_1", "result": "ok", "peer": "192.0.2.1",
    }  # fmt: skip
    assert (deny["key"], deny["tenant"], deny["result"], deny["peer"]) == ("", "", "unauthenticated", "192.0.2.7")
    assert verify([tmp_path]).faults == []


def test_without_a_folder_nothing_is_noted() -> None:
    journal = open_journal(None, "api", required=True)
    assert type(journal) is Journal
    assert journal is NO_JOURNAL
    journal.note("view", Someone(), "gen_1")
    assert not journal.refuses
    journal.close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    FileJournal(tmp_path / "audit", "api").close()
    (file,) = (tmp_path / "audit").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadAudit, match="RESPOOL_AUDIT_LOG cannot be written"):
        open_journal(tmp_path / "file", "api")


def test_a_flood_of_views_is_counted_and_pushes_out_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MOST_WAITING", 8)
    monkeypatch.setattr(journals, "_MOST_AT_WILL", 6)
    journal = FileJournal(tmp_path, "api")
    for _ in range(20):
        journal.note("view", Someone(), "gen_1")
    journal.note("erase", Someone(), "gen_1")
    journal.close()
    found = lines(tmp_path)
    assert [line["action"] for line in found] == ["view"] * 6 + ["erase", "dropped"]
    assert found[-1]["dropped"] == {"view": 14}


def test_a_full_disk_is_waited_out_and_leaves_no_half_line(
    tmp_path: Path, disk: Full, caplog: pytest.LogCaptureFixture
) -> None:
    monkey = FileJournal(tmp_path, "api", required=True)
    disk.full = True
    with caplog.at_level(logging.INFO, "respool.audit"):
        monkey.note("submit", Someone(), "gen_1")
        monkey._write()
        monkey.note("submit", Someone(), "gen_2")
        monkey._write()
        assert monkey.refuses
        assert lines(tmp_path) == []
        disk.full = False
        monkey._write()
        assert not monkey.refuses
        monkey._write()
    monkey.close()
    assert [line["id"] for line in lines(tmp_path)] == ["gen_1", "gen_2"]
    assert (verify([tmp_path]).faults, verify([tmp_path]).remarks) == ([], [])
    assert [record.message for record in caplog.records][:2] == [
        "the audit log cannot be written: No space left on device",
        "the audit log is written again",
    ]


def test_where_it_need_not_be_written_requests_go_on(tmp_path: Path, disk: Full) -> None:
    journal = FileJournal(tmp_path, "api")
    disk.full = True
    journal.note("submit", Someone(), "gen_1")
    journal._write()
    assert not journal.refuses
    disk.full = False
    journal.close()


def test_a_file_that_was_taken_away_is_followed_by_another(tmp_path: Path) -> None:
    trail = Trail(tmp_path, "api")
    (first,) = tmp_path.iterdir()
    first.unlink()
    trail.write([], {"view": 3})
    trail.close()
    (second,) = tmp_path.iterdir()
    assert [orjson.loads(line)["action"] for line in second.read_bytes().splitlines()] == ["begin", "dropped"]
    assert "1 earlier files of its chain are not here" in verify([tmp_path]).remarks[0]
