"""The table of failures, against its type and against what the scripts write."""

import re
from importlib.resources import files
from typing import cast, get_args

from broker.failures import FAILURES, FailureCode

_WRITTEN = re.compile(r"\bcode = '(\w+)', retryable = (true|false)(?:, status = '(\d+)')?")
_CODE = re.compile(r"\bcode = '")


def test_every_code_has_a_row_and_no_row_is_of_another() -> None:
    assert list(FAILURES) == list(get_args(FailureCode))


def test_every_status_is_an_error_s() -> None:
    assert {code for code, row in FAILURES.items() if not 400 <= row.status < 600} == set()


def test_what_a_script_ends_by_itself_has_the_status_that_scripts_give() -> None:
    claim = files("broker.store.lua").joinpath("claim.lua").read_text()
    said = {code: int(status or 503) for code, _, status in _WRITTEN.findall(claim)}
    assert said == {code: FAILURES[cast(FailureCode, code)].status for code in said}


def test_the_scripts_write_codes_of_the_table_and_say_of_each_whether_it_is_retryable() -> None:
    scripts = [file.read_text() for file in files("broker.store.lua").iterdir() if file.name.endswith(".lua")]
    written = [found for text in scripts for found in _WRITTEN.findall(text)]
    assert len(written) == sum(len(_CODE.findall(text)) for text in scripts) > 0
    assert [(code, retryable == "true") for code, retryable, _ in written] == [
        (code, row.retryable) for code, _, _ in written for known, row in FAILURES.items() if known == code
    ]
