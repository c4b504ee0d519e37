"""Node with the packages, for all tests here. Where there is none they are skipped, loudly."""

import pytest

from tests.interop import programs
from tests.interop.programs import NodeMissing, Programs


@pytest.fixture(scope="session", name="programs")
def installed_programs() -> Programs:
    try:
        return programs.programs()
    except NodeMissing as missing:
        pytest.skip(f"NOT RUN, no client of npm was tried: {missing}")
