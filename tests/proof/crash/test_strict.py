"""A strict end that was shown outlives a crash of Redis and of its machine."""

from pathlib import Path

import pytest

from tests.harness.stack import Stack
from tests.proof.crash.rounds import run
from tests.proof.crash.server import ForgetfulServer, obstacle

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


@pytest.mark.parametrize(
    ("fsync_ms", "policy"), [(0, "everysec"), (1200, "everysec"), (0, "always")], ids=["quick", "slow", "always"]
)
def test_no_strict_end_that_was_shown_is_taken_back_by_a_crash(tmp_path: Path, fsync_ms: int, policy: str) -> None:
    server = ForgetfulServer(tmp_path, fsync_ms=fsync_ms, config={"appendfsync": policy})
    with Stack(server=server) as stack:
        result = run(stack, server, generations=5)
    assert result.shown
    assert result.taken_back == 0
