"""A plugin for pytest: one file of ours is imported from elsewhere, with a mutant in it. RESPOOL_MUTANT is `file:source`."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_file, _, _source = os.environ["RESPOOL_MUTANT"].partition(":")
_module = _file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _module:
            return None
        return importlib.util.spec_from_loader(name, _Loader(name, str(Path(_file).resolve())))


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return compile(Path(_source).read_text(), self.path, "exec")


sys.meta_path.insert(0, _Finder())


def pytest_collection_finish() -> None:
    from tests.proof.mutants.lend import lend_from_environment

    lend_from_environment()
