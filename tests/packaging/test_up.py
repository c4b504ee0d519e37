"""What a newcomer sees of `make up`, with stand-ins for the API, the worker and the simulator, and a real Valkey."""

import os
import re
import signal
import socket
import stat
import time
from pathlib import Path

import pytest
import redis

from broker.local.embedded import EmbeddedServer
from tests.harness.processes import alive, children, command_of
from tests.packaging.launching import Launcher, eventually


def server_of(stack: Launcher) -> str:
    """The URL of the embedded Valkey, as the worker was given it."""
    return stack.until(r"worker was given RESPOOL_REDIS_URL=(\S+)")[1]


def test_it_says_where_it_is_and_loudly_that_the_model_is_simulated(tmp_path: Path) -> None:
    with Launcher(tmp_path) as stack:
        output = stack.up().output
    assert f"Respool is up: {stack.url}" in output
    assert "THE MODEL IS SIMULATED" in output
    assert "Last-Event-ID" in output


def test_api_and_worker_are_given_the_simulated_upstream_and_its_key(tmp_path: Path) -> None:
    with Launcher(tmp_path) as stack:
        stack.up()
        given = stack.until(r"worker was given .* ANTHROPIC_BASE_URL=(\S+) ANTHROPIC_API_KEY=(\S+)")
        assert given[1].startswith("http://127.0.0.1:")
        assert given[2] == "simulated"
        api = stack.until("api was given .*")[0]
        assert f"ANTHROPIC_BASE_URL={given[1]} ANTHROPIC_API_KEY=simulated" in api
        assert "RESPOOL_CORS_ORIGINS=loopback" in api


def test_with_a_key_nothing_is_simulated_and_only_the_worker_is_given_the_key(tmp_path: Path) -> None:
    with Launcher(tmp_path, ANTHROPIC_API_KEY="sk-one", RESPOOL_CORS_ORIGINS="https://a.example") as stack:
        output = stack.up().output
        assert "ANTHROPIC_API_KEY=sk-one" in stack.until("worker was given .*")[0]
        api = stack.until("api was given .*")[0]
        assert "ANTHROPIC" not in api
        assert "RESPOOL_CORS_ORIGINS=https://a.example" in api
    assert "SIMULATED" not in output
    assert "simulator" not in output


def test_with_a_redis_url_it_uses_that_server_and_starts_none(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "theirs") as theirs, Launcher(tmp_path, RESPOOL_REDIS_URL=theirs.url) as stack:
        assert server_of(stack.up()) == theirs.url
        assert [path.name for path in stack.data.iterdir()] == ["worker.pid"]


def test_its_server_is_the_users_own_even_in_a_directory_that_was_open_and_takes_no_more_memory_than_it_may(
    tmp_path: Path,
) -> None:
    """`make up MAXMEMORY=64mb`: make hands it on in the environment."""
    (tmp_path / "data").mkdir(mode=0o755)
    with Launcher(tmp_path, MAXMEMORY="64mb") as stack, redis.Redis.from_url(server_of(stack.up())) as client:
        assert client.config_get("maxmemory")["maxmemory"] == str(64 * 1024 * 1024)
        assert client.config_get("port")["port"] == "0"
        assert stat.S_IMODE(stack.data.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_all_of_it_in_the_order_that_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with Launcher(tmp_path) as stack:
        theirs = children(stack.up().pid)
        assert len(theirs) == 5, "Valkey, the simulator, the API, the worker and what watches for orphans"
        stack.signal(number)
        assert stack.ended() == 0
        assert re.findall(r"(\w+) ends", stack.output) == ["api", "worker", "simulator"]
        assert not any(map(alive, theirs))


def test_a_part_that_does_not_end_is_killed_within_its_grace(tmp_path: Path) -> None:
    with Launcher(tmp_path, STUBBORN="api") as stack:
        theirs = children(stack.up().pid)
        stack.signal(signal.SIGTERM)
        assert stack.ended(12) == 0
        assert not any(map(alive, theirs))


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    with Launcher(tmp_path, STUBBORN="api") as stack:
        theirs = children(stack.up().pid)
        stack.signal(signal.SIGINT)
        stack.until("Stopping")
        asked = time.monotonic()
        stack.signal(signal.SIGINT)
        stack.ended()
        assert time.monotonic() - asked < 3, "the API's grace alone is longer"
        assert not any(map(alive, theirs))


def test_nothing_outlives_a_launcher_that_was_killed(tmp_path: Path) -> None:
    with Launcher(tmp_path, STUBBORN="worker") as stack:
        theirs = children(stack.up().pid)
        stack.signal(signal.SIGKILL)
        assert stack.ended() == -signal.SIGKILL
        eventually(lambda: not any(map(alive, theirs)))


def test_the_data_directory_of_a_killed_launcher_can_be_used_at_once(tmp_path: Path) -> None:
    with Launcher(tmp_path) as first:
        with redis.Redis.from_url(server_of(first.up())) as client:
            client.set("kept", "yes")
        first.signal(signal.SIGKILL)
        with Launcher(tmp_path) as second, redis.Redis.from_url(server_of(second.up())) as client:
            assert client.get("kept") == b"yes"


def test_what_one_run_left_is_there_in_the_next(tmp_path: Path) -> None:
    with Launcher(tmp_path) as first, redis.Redis.from_url(server_of(first.up())) as client:
        client.set("kept", "yes")
    with Launcher(tmp_path) as second, redis.Redis.from_url(server_of(second.up())) as client:
        assert client.get("kept") == b"yes"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_part_that_was_killed_is_started_again_and_it_is_said(tmp_path: Path, name: str) -> None:
    with Launcher(tmp_path) as stack:
        before = children(stack.up().pid)
        for pid in before:
            if name in command_of(pid):
                os.kill(pid, signal.SIGKILL)
        stack.until(f"{name} +│ was ended by SIGKILL; starting it again")
        eventually(lambda: stack.output.count(f"{name} was given") == 2)
        assert len(before & children(stack.pid)) == 4, "the others were left alone"


def test_a_valkey_that_was_killed_comes_back_on_its_port_with_its_data(tmp_path: Path) -> None:
    with Launcher(tmp_path) as stack, redis.Redis.from_url(server_of(stack.up())) as client:
        client.set("kept", "yes")
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
        stack.until("valkey +│ was ended by SIGKILL; starting it again")
        eventually(lambda: answered(client))
        assert client.get("kept") == b"yes"


def test_a_part_that_keeps_ending_at_its_start_is_given_up(tmp_path: Path) -> None:
    with Launcher(tmp_path, BROKEN="simulator") as stack:
        assert stack.ended() == 1
        assert "simulator │ simulator cannot live like this" in stack.output
        assert "Respool is not up: simulator ended 4 times at its start" in stack.output


def test_a_taken_port_is_told_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Launcher(tmp_path, port=port) as stack:
            assert stack.ended() == 1
    assert f"port {port} of 127.0.0.1 cannot be used: something else listens there" in stack.output
    assert "Traceback" not in stack.output


def test_a_second_launcher_in_the_same_directory_is_told_that_one_runs(tmp_path: Path) -> None:
    with Launcher(tmp_path) as first, Launcher(first.up().data.parent) as second:
        assert second.ended() == 1
        assert f"one already runs on {first.data} (process {first.pid})" in second.output
        assert "Traceback" not in second.output


def answered(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_port_0_is_a_free_one_and_it_is_said_which(tmp_path: Path) -> None:
    with Launcher(tmp_path, port=0) as launcher:
        port = int(launcher.up().until(r"Respool is up: http://127\.0\.0\.1:(\d+)")[1])
        assert port >= 1024


def test_it_stops_when_make_is_killed(tmp_path: Path) -> None:
    with Launcher(tmp_path, real=True, under_make=True) as launcher:
        launcher.up()
        (up,) = children(launcher.pid)
        parts = children(up)
        assert len(parts) > 3
        launcher.signal(signal.SIGKILL)
        eventually(lambda: not any(command_of(pid) for pid in (up, *parts)), 20)


def test_it_says_that_nobody_is_asked_for_a_key(tmp_path: Path) -> None:
    with Launcher(tmp_path) as launcher:
        launcher.up()
        launcher.until("It asks nobody for a key")
        assert not (launcher.data / "api_key_pepper").exists()
        assert (launcher.data / "secret").stat().st_mode & 0o777 == 0o600


def test_where_keys_are_asked_for_it_makes_one_and_keeps_it(tmp_path: Path) -> None:
    """Everything that is printed uses it; it is the same at the next start."""
    found = []
    for _ in range(2):
        with Launcher(tmp_path, RESPOOL_REQUIRE_KEYS="1") as launcher:
            launcher.up()
            found.append(launcher.until(r"(?m)^KEY=(rsp_\S+)$")[1])
            assert launcher.output.count('curl -H "X-Api-Key: $KEY"') == launcher.output.count("curl ")
            assert {(launcher.data / name).stat().st_mode & 0o777 for name in ("api_key", "api_key_pepper")} == {0o600}
    assert found[0] == found[1]
    assert "api_key_pepper" not in launcher.output
