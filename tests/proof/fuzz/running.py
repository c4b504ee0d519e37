"""One run of the fuzzer against a stack that asks for keys, by an API of its own that may ask the upstream too."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.harness.processes import ROOT, python
from tests.harness.stack import Stack

PEPPER: Final = "p1:" + "f" * 40
"""`api_key_pepper` of the stack, which needs no API."""
_CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
_ADMIN: Final = "^/v1/admin/"
_SLACK_SECONDS: Final = 300.0


def key_for(stack: Stack, tenant: str, scopes: str) -> str:
    """A new API key."""
    made = subprocess.run(
        python("api.keys", "create", "--tenant", tenant, "--scopes", scopes), cwd=ROOT, timeout=60, check=True, text=True,
        capture_output=True, env={**os.environ, **stack.environment()},
    )  # fmt: skip
    return made.stdout.strip()


def fuzz(stack: Stack, *, seed: int, examples: int, seconds: int, phases: Sequence[str]) -> tuple[int, str]:
    """Runs it: with a tenant's key for most of the time, then as who may manage keys. The exit code, 0 if every answer was as
    described, and what was said. `examples`: how many of each operation at the most, `seconds`: after which it begins nothing
    more. Raises subprocess.TimeoutExpired if it hangs."""
    stack.add_api(raw={"ANTHROPIC_BASE_URL": stack.upstream_url, "ANTHROPIC_API_KEY": "simulated"})
    limits = ["--seed", str(seed), "--max-examples", str(examples), "--phases", ",".join(phases)]
    tenants = _run(
        stack,
        key_for(stack, "fuzzed", "submit,view,cancel"),
        seconds * 3 // 4,
        [*limits, "--exclude-path-regex", _ADMIN],
    )
    admins = _run(stack, key_for(stack, "operator", "admin"), seconds // 4, [*limits, "--include-path-regex", _ADMIN])
    return tenants[0] or admins[0], f"{tenants[1]}\n{admins[1]}"


def _run(stack: Stack, key: str, seconds: int, limits: Sequence[str]) -> tuple[int, str]:
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run", f"{stack.url}/openapi.json",
        "--url", stack.url, "--checks", "all", "--continue-on-failure", "--suppress-health-check", "all",
        "--request-timeout", "20", "--max-time", str(seconds), "--no-color", *limits,
    ]  # fmt: skip
    ran = subprocess.run(
        command, cwd=stack.folder, env={**os.environ, "PYTHONPATH": str(ROOT), "KEY": key}, capture_output=True,
        text=True, check=False, timeout=seconds + _SLACK_SECONDS,
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


def tracebacks(stack: Stack) -> list[str]:
    """What processes said that met what they had no name for."""
    children = (*stack.apis, *stack.workers)
    return [f"{child.name}: {said[0]}" for child in children if (said := child.said("Traceback|urn:uuid:"))]
