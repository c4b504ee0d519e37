"""What `RESPOOL_TOOLS` names and is no tool: nothing starts, and the place is named."""

from pathlib import Path

import pytest

from tests.harness.processes import Child, python

ENVIRONMENT = {"ANTHROPIC_API_KEY": "any", "RESPOOL_REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize("command", [("worker",), ("worker", "--name", "w"), ("api", "--alone")], ids=" ".join)
@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ("worker.tools,no_such.thing", "RESPOOL_TOOLS: no_such.thing: there is no module no_such"),
        ("odd_tools", "RESPOOL_TOOLS: odd_tools.odd: no schema can be made of its parameters: a has no type"),
    ],
    ids=["module", "schema"],
)
def test_a_process_refuses_to_start_and_names_it(
    tmp_path: Path, command: tuple[str, ...], modules: str, said: str
) -> None:
    (tmp_path / "odd_tools.py").write_text('def odd(a):\n    """Has no types."""\n')
    environment = {**ENVIRONMENT, "RESPOOL_TOOLS": modules, "RESPOOL_PORT": "0", "PYTHONPATH": str(tmp_path)}
    child = Child("refusing", python(*command), environment, tmp_path).start()
    assert child.wait(60) == 1
    assert child.log.splitlines()[-1] == f"{command[0]}: {said}"
