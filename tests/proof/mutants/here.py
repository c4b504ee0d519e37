"""A plugin for pytest: what is tested must be the copy in the working directory, not what is installed beside it. And an
example that fails is enough: nobody reads it, so it need not be the smallest. None is failed for a machine that is busy."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

import api
import broker
import worker


def pytest_configure() -> None:
    here = Path.cwd().resolve()
    for room in (api, broker, worker):
        if here not in Path(str(room.__file__)).resolve().parents:
            raise pytest.UsageError(f"{room.__name__} comes from {room.__file__}, not from {here}")
    settings.register_profile(
        "mutants", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    settings.load_profile("mutants")
