"""docs/clients.md: the programs of each of its sections, run as they stand there but for the address.

A section is written as a guide is (docs/guides/README.md): `<!-- file: NAME -->` before a block writes it into a folder, a
block marked `sh` is run there, and a block marked `text` behind it is what that prints. Packages of npm are beside the files,
and files of the page's head are there in every section.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.guides import ADDRESS, Guide
from tests.docs.pages import page
from tests.harness.stack import Stack
from tests.interop.programs import Programs

pytestmark = pytest.mark.interop

_HEAD, *_SECTIONS = re.split(r"(?m)^## ", page("docs/clients.md"))
SECTIONS = {section.partition("\n")[0]: section for section in _SECTIONS}


@pytest.fixture(scope="module")
def stack_with(request: pytest.FixtureRequest) -> Iterator[Callable[[Guide], Stack]]:
    """The stack of a section: the one that all tests share, unless it asks for settings; one for all that ask alike."""
    started: dict[str, Stack] = {}
    with ExitStack() as stacks:

        def stack_with(guide: Guide) -> Stack:
            if not guide.settings:
                shared: Stack = request.getfixturevalue("shared")
                return shared
            ours = {name.removeprefix("RESPOOL_").lower(): value for name, value in guide.settings.items()}
            asked = repr(sorted(ours.items()))
            if asked not in started:
                started[asked] = stacks.enter_context(Stack(**ours))  # type: ignore[arg-type]  # not what it names itself
            return started[asked]

        yield stack_with


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
@pytest.mark.parametrize("name", SECTIONS)
def test_the_programs_of_a_section_run_and_print_what_it_says(
    name: str, stack_with: Callable[[Guide], Stack], programs: Programs, tmp_path: Path
) -> None:
    guide = Guide.of(SECTIONS[name])
    address = stack_with(guide).url.removeprefix("http://")
    for file, content in {**Guide.of(_HEAD).files, **guide.files}.items():
        (programs.beside(tmp_path) / file).write_text(content.replace(ADDRESS, address))
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", guide.script(address)],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert guide.misfits(done.stdout, address) == []
