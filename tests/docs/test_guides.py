"""Every page of docs/guides/, run as it stands there but for the address."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.guides import FOLDER, GUIDES, Guide, fits
from tests.docs.pages import page
from tests.harness.stack import Stack

OURS = "RESPOOL_"


@pytest.fixture(scope="module")
def stack_for(request: pytest.FixtureRequest) -> Iterator[Callable[[Guide, Path], Stack]]:
    """The stack of a page: the one that all tests share, unless it asks for settings or files. One for all that ask alike."""
    started: dict[str, Stack] = {}
    with ExitStack() as stacks, pytest.MonkeyPatch.context() as patch:

        def stack_for(guide: Guide, folder: Path) -> Stack:
            if not guide.settings and not guide.files:
                shared: Stack = request.getfixturevalue("shared")
                return shared
            settings = {
                name: str(folder / value) if value.startswith("./") else value for name, value in guide.settings.items()
            }
            asked = repr((sorted(settings.items()), folder if guide.files else None))
            if asked not in started:
                path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
                patch.setenv("PYTHONPATH", path)
                for name, value in settings.items():
                    if not name.startswith(OURS):
                        patch.setenv(name, value)
                ours = {name.removeprefix(OURS).lower(): value for name, value in settings.items() if OURS in name}
                started[asked] = stacks.enter_context(Stack(**ours))  # type: ignore[arg-type]  # not what it names itself
                patch.undo()
            return started[asked]

        yield stack_for


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_s_commands_run_and_print_what_it_says(
    path: Path, stack_for: Callable[[Guide, Path], Stack], tmp_path: Path
) -> None:
    guide = Guide.at(path)
    for name, content in guide.files.items():
        (tmp_path / name).write_text(content)
    address = stack_for(guide, tmp_path).url.removeprefix("http://")
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        ["bash", "-e", "-c", guide.script(address)],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert guide.misfits(done.stdout, address) == []


def test_the_list_of_guides_has_each_with_its_title() -> None:
    titles = {path.name: path.read_text().split("\n", 1)[0].removeprefix("# ") for path in GUIDES}
    rows = "".join(f"- [{title}]({name})\n" for name, title in titles.items())
    assert f"\n\n{rows}\n" in (FOLDER / "README.md").read_text()
    assert "(docs/guides/README.md)" in page("README.md")


@pytest.mark.parametrize(
    ("said", "printed", "verdict"),
    [
        ("one\ntwo", "one\ntwo\n\n", True),
        ("one\ntwo", "one\nthree\n", False),
        ("one\n", "one\ntwo\n", False),
        ("id: …\n\nlast", "id: 7-0\n\nlast", True),
        ("…\nlast", "first\nsecond\nlast\n", True),
        ("…\nlast", "last\n", True),
        ("…\nlast", "last\nmore\n", False),
        ("a (b) …c", "a (b) and c", True),
    ],
)
def test_an_ellipsis_stands_for_anything_within_a_line_and_alone_for_any_lines(
    said: str, printed: str, verdict: bool
) -> None:
    assert fits(said, printed) is verdict


def test_a_page_s_settings_files_and_steps_are_read() -> None:
    guide = Guide.of(
        "# How\n\n<!-- settings: RESPOOL_A=1 B=./x -->\n\n<!-- file: x -->\n```json\n{}\n```\n\n"
        "```sh\nfirst\n```\n\nthen\n\n```text\nnot its output\n```\n\n```sh\nsecond\n```\n\n```text\nsaid\n```\n"
    )
    assert guide.settings == {"RESPOOL_A": "1", "B": "./x"}
    assert guide.files == {"x": "{}\n"}
    assert guide.steps == (("first\n", None), ("second\n", "said\n"))
