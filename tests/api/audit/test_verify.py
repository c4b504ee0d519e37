"""An audit log that somebody has changed."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.audit.lines import Chain, Note
from api.audit.trail import Trail
from api.audit.verify import verify

Lines = list[bytes]


def note(number: int) -> Note:
    return Note(1_700_000_000 + number, "view", "key_1", "acme", f"gen_{number}", "ok", "127.0.0.1")


def trail(folder: Path, lines: int, process: str = "api", most_bytes: int = 1 << 20) -> Trail:
    """One that is closed, with a header and so many lines."""
    made = Trail(folder, process, most_bytes)
    for number in range(lines):
        made.write([note(number)], {})
    made.close()
    return made


def change(file: Path, edit: Callable[[Lines], Lines]) -> None:
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))


def only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_log_that_nobody_has_touched_is_whole(tmp_path: Path) -> None:
    end = trail(tmp_path, 5).end
    report = verify([tmp_path], [end.digest])
    assert (report.faults, report.remarks, report.ends, report.lines) == ([], [], [end], 6)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"gen_1", b"gen_9"), *lines[3:]], "line 3 of the chain (number 3) was"),
        (lambda lines: [*lines[:5], lines[5].replace(b"gen_4", b"gen_9")], "line 6 of the chain (number 6) was changed"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3 of the chain missing before line 4"),
        (lambda lines: [*lines[:2], *lines[4:]], "lines 3 to 4 of the chain missing before line 5"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "line 3 of the chain stands behind line 4"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 3 of the chain stands behind line 3"),
        (lambda lines: [*lines[:2], b"{}\n", *lines[3:]], "line number 3 was changed: it is none of ours"),
        (lambda lines: lines[1:], "its first lines are missing"),
        (lambda _: [], "it has no line"),
    ],
)  # fmt: skip
def test_what_was_changed_removed_or_put_elsewhere_is_named(
    tmp_path: Path, edit: Callable[[Lines], Lines], said: str
) -> None:
    trail(tmp_path, 5)
    change(only(tmp_path), edit)
    assert any(said in fault for fault in verify([tmp_path]).faults)


def test_a_line_that_was_made_anew_with_its_digest_does_not_fit_the_next(tmp_path: Path) -> None:
    trail(tmp_path, 5)

    def forged(lines: Lines) -> Lines:
        before = orjson.loads(lines[1])
        return [*lines[:2], Chain(2, before["digest"]).line({"action": "view", "id": "gen_9"}), *lines[3:]]

    change(only(tmp_path), forged)
    (fault,) = verify([tmp_path]).faults
    assert "line 3 of the chain is not the one that line 4 was written behind" in fault


def test_a_crash_leaves_half_a_line_which_is_named_and_is_no_fault(tmp_path: Path) -> None:
    trail(tmp_path, 5)
    change(only(tmp_path), lambda lines: [*lines[:-1], lines[-1][:40]])
    report = verify([tmp_path])
    assert report.faults == []
    assert "half a line, number 6" in report.remarks[0]


def test_lines_cut_off_the_end_are_missed_by_who_has_seen_them(tmp_path: Path) -> None:
    first = trail(tmp_path, 5)
    cut = only(tmp_path)
    trail(tmp_path, 1)
    change(cut, lambda lines: lines[:-1])
    (fault,) = verify([tmp_path]).faults
    assert fault.startswith(f"{first.end.file}: line 6 of the chain is missing")


def test_lines_cut_off_the_end_that_nobody_has_seen_are_missed_by_a_digest_noted_elsewhere(tmp_path: Path) -> None:
    end = trail(tmp_path, 5).end
    change(only(tmp_path), lambda lines: lines[:-1])
    assert verify([tmp_path]).faults == []
    assert verify([tmp_path], [end.digest]).faults == [f"no line has the digest {end.digest}"]


def test_a_chain_goes_on_over_its_files(tmp_path: Path) -> None:
    trail(tmp_path, 5, most_bytes=1)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    assert verify([tmp_path]).faults == []
    moved = files[2].read_bytes()
    files[2].unlink()
    assert f"{files[3].name}: 1 files of its chain are missing before it" in verify([tmp_path]).faults
    files[2].write_bytes(b"".join(moved.splitlines(keepends=True)[:-1]))
    (fault,) = verify([tmp_path]).faults
    assert fault == f"{files[2].name}: 1 lines are missing at its end, as {files[3].name} tells"


def test_files_that_are_old_may_go_and_others_may_not(tmp_path: Path) -> None:
    ends = [trail(tmp_path, 1).end.file for _ in range(3)]
    (tmp_path / ends[0]).unlink()
    report = verify([tmp_path])
    assert report.faults == []
    assert f"{ends[0]}: it is not here" in report.remarks[0]
    trail(tmp_path, 1)
    (tmp_path / ends[2]).unlink()
    assert any(f"{ends[2]}: it is not here" in fault for fault in verify([tmp_path]).faults)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_byte_is_changed_it_is_found(tmp_path: Path, data: st.DataObject) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    trail(tmp_path, 3)
    file = only(tmp_path)
    raw = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 2))
    raw[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(raw)
    assert verify([tmp_path]).faults
