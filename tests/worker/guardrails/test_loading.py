"""From settings to checks: whatever cannot be a check is named."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness import guardrails
from worker.guardrails.loading import BadGuardrail, load_checks
from worker.guardrails.verdicts import Block, Subject
from worker.settings import WorkerSettings

HERE = "tests.harness.guardrails"
SUBJECT = Subject("gen_x", "m", {}, whole=True)


def settings(**how: Any) -> WorkerSettings:
    return WorkerSettings(**how)


def test_without_settings_there_are_none() -> None:
    assert load_checks(settings()) == []
    assert load_checks(settings(guardrails=" , ")) == []


def test_a_check_is_as_it_declares_itself_and_else_as_the_settings_say() -> None:
    first, second = load_checks(
        settings(guardrails=f"{HERE}:check, {HERE}:lenient", guardrail_timeout=3, guardrail_failure="closed")
    )
    assert (first.name, first.paragraphs, first.timeout, first.on_failure) == ("house rules", True, 6, "closed")
    assert first.run is guardrails.check
    assert (second.name, second.paragraphs, second.on_failure) == ("lenient", False, "open")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no.such.module:check", "No module named 'no'"), (f"{HERE}:none", "has no attribute 'none'"),
        (f"{HERE}:NOTHING", "no function"),
        (f"{HERE}:blocking", "not async"), (f"{HERE}:takes_nothing", "does not take a text"),
        ("check", "No module named 'check'"),
        (":check", "Empty module name"), (f"{HERE}:", "has no attribute ''"),
    ],
)  # fmt: skip
def test_what_is_no_check_is_named(path: str, why: str) -> None:
    with pytest.raises(BadGuardrail, match="RESPOOL_GUARDRAILS") as refused:
        load_checks(settings(guardrails=f"{HERE}:check,{path}"))
    assert f": {path}: " in str(refused.value)
    assert why in str(refused.value)


def write(folder: Path, text: str) -> str:
    file = folder / "deny.txt"
    file.write_bytes(text.encode())
    return str(file)


async def says(path: str, text: str) -> Any:
    (check,) = load_checks(settings(deny_list=path))
    assert (check.name, check.paragraphs) == ("deny_list", True)
    return await check.run(text, SUBJECT)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a secret plan", 3), ("naïve", 4), ("CODE 12345", 5), ("x" * 100_000 + "secret", 3),
        ("all is well", None), ("# no", None),
        ("two\nlines", 6),
    ],
)  # fmt: skip
def test_text_that_matches_a_line_is_blocked_and_the_line_is_told(tmp_path: Path, text: str, line: int | None) -> None:
    import asyncio

    path = write(tmp_path, "# no\n\nsecret\nna\u00efve\r\n(?i)code \\d{5}\ntwo\\nlines\n")
    wanted = None if line is None else Block(f"It matches line {line} of the deny list.", "deny_list")
    assert asyncio.run(says(path, text)) == wanted


def test_a_pattern_that_would_hang_another_engine_takes_no_time(tmp_path: Path) -> None:
    import asyncio

    path = write(tmp_path, "^(a+)+$\n(x+x+)+y\n")
    assert asyncio.run(says(path, "a" * 50_000 + "b" + "x" * 50_000)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fine\n(", "line 2"), ("(?=ahead)", "line 1"), ("(a)\\1", "line 1"), ("# nothing\n", "there is no pattern"),
        ("a" * (1024 * 1024 + 1), "more than"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_deny_list_is_refused_and_the_line_named(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadGuardrail, match="RESPOOL_DENY_LIST") as refused:
        load_checks(settings(deny_list=path))
    assert path in str(refused.value)
    assert why in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "latin"
    other.write_bytes(b"caf\xe9")
    for path, why in ((tmp_path / "none", "No such file"), (other, "not UTF-8")):
        with pytest.raises(BadGuardrail, match=why):
            load_checks(settings(deny_list=str(path)))
