"""Tools that the server itself runs for a model, as `RESPOOL_TOOLS` names them.

loading.py   from modules to tools: their names, and the JSON schemas that a model is told

A tool is a function with types and a docstring:

    async def weather(city: str, days: Annotated[int, Field(ge=1, le=7)] = 1) -> str:
        "The weather in a city, for the next days."

`async def` runs in the worker's loop and is cancelled when its time is over; `def` runs in a thread, which cannot be stopped:
its result is then ignored. An async generator tells how far it is: each thing that it yields is shown to viewers, and the
last is its result. A result is text, or whatever pydantic can make JSON of.

The API loads tools for their names alone, by which it accepts requests; a worker loads them to run them. Both read one setting.
"""

from dataclasses import dataclass


class ToolFailure(Exception):
    """A tool raises it to tell the model, and viewers, what is wrong, in words of its own. Of any other exception they are told
    the type alone."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool is given it in a parameter of this type, of which the model is not told. `id` is the model's own for this call, as
    the events have it. `attempt` counts the generation's attempts."""

    generation: str
    id: str
    attempt: int

    @property
    def key(self) -> str:
        """The same whenever this call is made again, after a worker's death, and different for any other call: what a tool does
        outside can be done once by it."""
        return f"{self.generation}/{self.id}"
