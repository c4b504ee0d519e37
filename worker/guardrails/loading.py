"""From a worker's settings to its checks. Whatever cannot be loaded is named: a worker that had fewer checks than it was told
of must not start."""

import importlib
import inspect
from collections.abc import Sequence

from worker.guardrails.deny_list import deny_list
from worker.guardrails.verdicts import DECLARED, Check, Declared, Function, OnFailure, Subject
from worker.settings import WorkerSettings

_ANYBODY = Subject("", "", {}, whole=True)


class BadGuardrail(Exception):
    """The worker cannot have the guardrails that it was told of; the text says which, and why."""


def load_checks(settings: WorkerSettings) -> Sequence[Check]:
    """The checks in the order in which they are asked, the deny list first. Raises BadGuardrail."""
    checks = [
        _check(path.strip(), settings.guardrail_timeout, settings.guardrail_failure)
        for path in (settings.guardrails or "").split(",")
        if path.strip()
    ]
    if settings.deny_list is not None:
        try:
            denied = deny_list(settings.deny_list)
        except ValueError as error:
            raise BadGuardrail(f"RESPOOL_DENY_LIST: {error}") from None
        checks.insert(0, Check("deny_list", denied, True, settings.guardrail_timeout, settings.guardrail_failure))
    return checks


def _check(path: str, timeout: float, on_failure: OnFailure) -> Check:
    function = _function(path)
    said = getattr(function, DECLARED, None) or Declared()
    return Check(
        said.name or path.rpartition(":")[2],
        function,
        said.paragraphs,
        said.timeout or timeout,
        said.on_failure or on_failure,
    )


def _function(path: str) -> Function:
    """What `module:name` names: an async function of two arguments."""
    module_name, _, name = path.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise _bad(path, f"{error}") from None
    except Exception as error:  # the module's own code has raised
        raise _bad(path, f"its module raises {type(error).__name__}") from error
    if not callable(found):
        raise _bad(path, "it is no function; the form is package.module:function")
    if not (inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(type(found).__call__)):
        raise _bad(path, "it is not async")
    try:
        inspect.signature(found).bind("", _ANYBODY)
    except TypeError:
        raise _bad(path, "it does not take a text and its subject") from None
    return found


def _bad(path: str, why: str) -> BadGuardrail:
    return BadGuardrail(f"RESPOOL_GUARDRAILS: {path}: {why}")
