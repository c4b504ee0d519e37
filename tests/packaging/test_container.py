"""Dockerfile and compose.yaml, as far as they can be judged without an engine.

The schema is the Compose Specification's own, carried by the package check-jsonschema.
"""

import importlib
import importlib.util
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
import yaml
from pydantic_settings import BaseSettings

from api.keys.settings import KeySettings
from broker.local.embedded import free_port, server_binary
from broker.settings import BrokerSettings
from tests.harness.processes import Child
from tests.packaging.launching import eventually
from tests.packaging.pins import ROOT

COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def schema_errors(file: Path) -> str:
    """What the Compose Specification says against a file; nothing if it is valid."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_compose_is_valid_by_the_compose_specification() -> None:
    assert schema_errors(ROOT / "compose.yaml") == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("condition: service_healthy", "condition: service_healthyy"),
        ("stop_grace_period:", "stop_grace:"),
        ("required: false", "required: maybe"),
    ],
)
def test_the_specification_finds_what_is_wrong(tmp_path: Path, right: str, wrong: str) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace(right, wrong))
    assert "validation errors" in schema_errors(tmp_path / "compose.yaml")


def test_compose_has_the_services_and_each_waits_for_the_health_of_what_it_needs() -> None:
    without_profile = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert without_profile == {"secrets", "valkey", "api", "worker"}
    assert SERVICES["simulator"]["profiles"] == ["simulated"]
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"]["valkey"] == {"condition": "service_healthy"}
    assert SERVICES["worker"]["depends_on"]["simulator"] == {"condition": "service_healthy", "required": False}
    assert SERVICES["valkey"]["depends_on"] == {"secrets": {"condition": "service_completed_successfully"}}
    assert SERVICES["secrets"]["restart"] == "no"
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= SERVICES.keys()
        if name != "secrets":
            assert "healthcheck" in service or (name == "api" and "HEALTHCHECK" in DOCKERFILE)
            assert service["restart"] == "unless-stopped"


def test_compose_lets_valkey_neither_evict_nor_forget() -> None:
    command = " ".join(SERVICES["valkey"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--maxmemory ${VALKEY_MAXMEMORY:-1gb}" in command
    assert "valkey:/data" in SERVICES["valkey"]["volumes"]
    assert yaml.safe_load(COMPOSE)["volumes"].keys() == {"valkey", "secrets"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_nothing_but_its_work(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert "privileged" not in service
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable == {"valkey": ["valkey:/data"], "secrets": ["secrets:/run/secrets"]}.get(name, [])
    assert service.get("user", "10001:10001") in {"10001:10001", "999:999"}


def test_what_nobody_outside_needs_cannot_be_reached_and_reaches_nothing() -> None:
    assert yaml.safe_load(COMPOSE)["networks"] == {"inside": {"internal": True}, "outside": None}
    for name, service in SERVICES.items():
        assert service["networks"] == (["inside", "outside"] if name in ("api", "worker") else ["inside"])
        assert ("ports" in service) == (name == "api")
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_images_of_others_are_of_one_version() -> None:
    named = [service["image"] for service in SERVICES.values() if "build" not in service]
    named += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert named
    assert all(re.search(r":\d+\.\d+\.\d+(-[a-z]+)*(@sha256:[0-9a-f]{64})?$", name) for name in named), named


def test_a_password_is_drawn_once_that_valkey_asks_for_and_our_settings_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the volume, by the program in compose.yaml, for a server as in compose.yaml."""
    program = SERVICES["secrets"]["command"][2].replace("/run/secrets", str(tmp_path))
    monkeypatch.delenv("RESPOOL_REDIS_URL", raising=False)

    def draw() -> dict[str, str]:
        subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    drawn = draw()
    assert draw() == drawn, "the second start draws no other"
    ours = {"respool_redis_url", "respool_api_key_pepper", "respool_secret"}
    assert drawn.keys() == {"valkey_password", "valkey.conf", *ours}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    monkeypatch.setitem(BrokerSettings.model_config, "secrets_dir", tmp_path)
    monkeypatch.setitem(KeySettings.model_config, "secrets_dir", tmp_path)
    assert KeySettings().peppers is not None
    assert BrokerSettings().keyed.secrets
    url = BrokerSettings().redis_url
    assert url == f"redis://:{drawn['valkey_password']}@valkey:6379/0"
    port = free_port()
    command: list[str | Path] = [server_binary(), tmp_path / "valkey.conf", "--port", str(port), "--save", ""]
    server = Child("valkey", command, {}, tmp_path, cwd=tmp_path).start()
    try:
        with redis.Redis.from_url(url.replace("valkey:6379", f"127.0.0.1:{port}")) as client:
            eventually(lambda: answers(client))
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        server.kill()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def commands() -> list[list[str]]:
    """Everything that a container of ours is told to run, word by word."""
    told = [service["command"] for service in OURS.values()]
    told += [service["healthcheck"]["test"][1:] for service in OURS.values() if "healthcheck" in service]
    told += [yaml.safe_load(found) for found in re.findall(r"^ *CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)]
    scripts = [command[2] for command in told if command[:2] == ["sh", "-c"]]
    lines = [shlex.split(line, comments=True) for script in scripts for line in script.splitlines()]
    return [*told, *([word for word in line if word != "exec"] for line in lines if "python" in line)]


def test_every_python_module_that_a_container_is_told_to_run_exists() -> None:
    modules = {command[2] for command in commands() if command[:2] == ["python", "-m"]}
    assert modules == {"api", "worker", "worker.simulator"}
    for module in modules:
        assert importlib.util.find_spec(f"{module}.__main__") is not None, module


def test_every_line_of_python_that_a_container_is_told_to_run_is_python() -> None:
    programs = [command[2] for command in commands() if command[:2] == ["python", "-c"]]
    assert len(programs) == 3
    for program in programs:
        compile(program, "compose", "exec")


def test_every_command_is_one_that_the_image_has() -> None:
    assert {command[0] for command in commands()} == {"python", "sh"}


def settings() -> set[str]:
    """The environment variables that our settings classes read."""
    modules: list[ModuleType] = [
        importlib.import_module(name)
        for name in ("broker.settings", "api.settings", "api.keys.settings", "worker.settings")
    ]
    classes = [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, BaseSettings) and found is not BaseSettings
    ]
    assert {found.__module__ for found in classes} == {module.__name__ for module in modules}
    return {f"{found.model_config['env_prefix']}{field}".upper() for found in classes for field in found.model_fields}


@pytest.mark.parametrize("file", ["compose.yaml", "Dockerfile", "Makefile", "broker/local/up.py", "README.md"])
def test_every_variable_that_is_named_is_a_setting(file: str) -> None:
    named = set(re.findall(r"\bRESPOOL_[A-Z0-9_]+\b", (ROOT / file).read_text()))
    assert named - settings() == set()


def test_the_final_stage_has_no_tools_and_no_root() -> None:
    build, final = DOCKERFILE.split("\nFROM ")[1:]
    assert " AS build\n" in build
    installs = [line for line in re.split(r"&&|\nRUN", build) if "pip install" in line and "--no-index" not in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line and "--only-binary=:all:" in line for line in installs)
    assert "apt-get" not in DOCKERFILE
    assert "pip install" not in final
    assert "pip uninstall" in final
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert final.rstrip().endswith('CMD ["python", "-m", "api"]')


def test_everything_the_image_is_built_from_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}/" in ignored or f"!{name}" in ignored


def test_the_wheel_has_every_file_of_the_rooms(tmp_path: Path) -> None:
    """Scripts in Lua, pages and all: what runs in the image is the wheel, not the checkout."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True)
    rooms = [path for room in ("api", "broker", "worker") for path in (ROOT / room).rglob("*")]
    files = {str(path.relative_to(ROOT)) for path in rooms if path.is_file() and "__pycache__" not in path.parts}
    assert files - set(listed.stdout.split()) == set()
