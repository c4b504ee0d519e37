"""From the modules that `RESPOOL_TOOLS` names to tools: which functions these are, and what a model is told of each."""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, make_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from broker.errors import BrokerError
from broker.tools import ToolCall

Kind = Literal["async", "progress", "thread"]
"""How a tool runs: a coroutine, an async generator, or a plain function in a thread."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_MOST_FAULTS: Final = 5


class BadTools(BrokerError):
    """`RESPOOL_TOOLS` names what is no tool; the text says which, and why."""


class BadInput(Exception):
    """What the model gave a tool is not as its schema says. The text tells the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`definition` is what the model is told, in the form of the Messages API."""

    name: str
    kind: Kind
    function: Callable[..., object]
    definition: dict[str, object]
    arguments: TypeAdapter[object]
    names: tuple[str, ...]
    call_name: str | None
    """The parameter that is given the ToolCall, if there is one."""

    def bound(self, given: object, call: ToolCall) -> Callable[[], object]:
        """The call of the function, not made yet. Raises BadInput."""
        try:
            checked = self.arguments.validate_python(given)
        except ValidationError as error:
            raise BadInput(_faults(error)) from None
        named = {name: getattr(checked, name) for name in self.names}
        if self.call_name is not None:
            named[self.call_name] = call
        return lambda: self.function(**named)


def load(modules: Iterable[str]) -> Mapping[str, Tool]:
    """The tools of these modules, by their names. Raises BadTools."""
    tools: dict[str, Tool] = {}
    for name in modules:
        for function in _functions(_module(name)):
            tool = _tool(name, function)
            if tool.name in tools:
                raise _bad(f"{name}.{tool.name}", f"there is another tool of this name: {_place(tools[tool.name])}")
            tools[tool.name] = tool
    return tools


def _bad(place: str, why: str) -> BadTools:
    return BadTools(f"RESPOOL_TOOLS: {place}: {why}")


def _place(tool: Tool) -> str:
    return f"{tool.function.__module__}.{tool.name}"


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise _bad(name, f"there is no module {error.name}") from None
    except Exception as error:  # whatever a module does while it is imported
        raise _bad(name, f"it cannot be imported: {type(error).__name__}: {error}") from error


def _functions(module: ModuleType) -> list[Callable[..., object]]:
    """Those that `__all__` names; without one, the public functions that the module itself defines."""
    if (names := getattr(module, "__all__", None)) is not None:
        found = [(name, getattr(module, name, None)) for name in names]
        if other := next((name for name, value in found if not inspect.isfunction(value)), None):
            raise _bad(f"{module.__name__}.{other}", "it is no function")
    else:
        found = [
            (name, value)
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
    if not found:
        raise _bad(module.__name__, "it has no tool, that is, no public function")
    return [typing.cast(Callable[..., object], value) for _, value in found]


def _tool(module: str, function: Callable[..., object]) -> Tool:
    name = function.__name__
    place = f"{module}.{name}"
    if not _NAME.fullmatch(name):
        raise _bad(place, "its name has more than 64 characters, or others than letters and digits of ASCII")
    if not (description := inspect.getdoc(function)):
        raise _bad(place, "it has no docstring, which tells the model what it does")
    if inspect.isgeneratorfunction(function):
        raise _bad(place, "a tool that yields must be `async def`")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
        taken = [each for each in parameters if hints.get(each.name) is not ToolCall]
        arguments = TypeAdapter[object](_arguments(taken, hints))
        schema = arguments.json_schema()
    except Exception as error:  # pydantic has many
        said = str(error).partition("\n")[0] or type(error).__name__
        raise _bad(place, f"no schema can be made of its parameters: {said}") from error
    schema.pop("title", None)
    calls = [each.name for each in parameters if hints.get(each.name) is ToolCall]
    return Tool(
        name=name,
        kind=_kind(function),
        function=function,
        definition={"name": name, "description": description, "input_schema": schema},
        arguments=arguments,
        names=tuple(each.name for each in taken),
        call_name=calls[0] if calls else None,
    )


def _kind(function: Callable[..., object]) -> Kind:
    if inspect.isasyncgenfunction(function):
        return "progress"
    return "async" if inspect.iscoroutinefunction(function) else "thread"


def _arguments(taken: Iterable[inspect.Parameter], hints: Mapping[str, Any]) -> type:
    """A class with a field for each of the parameters: a class of its own attributes, so that no parameter's name is taken."""
    fields: list[Any] = []
    for each in taken:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise TypeError(f"{each.name} cannot be given by name")
        if each.name not in hints:
            raise TypeError(f"{each.name} has no type")
        if isinstance(each.default, FieldInfo):
            raise TypeError(f"{each.name}: what Field() says belongs into Annotated")
        if each.default is each.empty:
            fields.append((each.name, hints[each.name]))
        elif each.default.__hash__ is None:  # a list: a class's fields do not share one
            fields.append((each.name, hints[each.name], field(default_factory=_giving(each.default))))
        else:
            fields.append((each.name, hints[each.name], field(default=each.default)))
    namespace = {"__pydantic_config__": ConfigDict(extra="forbid")}
    return make_dataclass("arguments", fields, kw_only=True, namespace=namespace)


def _giving(default: object) -> Callable[[], object]:
    return lambda: default


def _faults(error: ValidationError) -> str:
    """The first few things that are wrong, without what was given."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, each['loc'])) or 'input'}: {each['msg']}" for each in faults[:_MOST_FAULTS]]
    return "The input is not as the schema says. " + "; ".join(said)
