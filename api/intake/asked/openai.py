"""What both of OpenAI's APIs say alike, in the words of Messages. Pure.

worker/upstreams/openai says the reverse: what has come through here and goes to a model of OpenAI's is what was asked.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from api.intake.asked.reading import Given, Json

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_PARAMETERS: Final[Json] = {"type": "object", "properties": {}}


def function(given: Given, *more: str) -> Json:
    """A tool, of the object that has its name. `more`: members of it that are looked at elsewhere."""
    given.only("name", "description", "parameters", "strict", *more)
    tool: Json = {"name": given.needed("name").text()}
    if (description := given.given("description")) is not None:
        tool["description"] = description.text()
    parameters = given.given("parameters")
    tool["input_schema"] = dict(_NO_PARAMETERS if parameters is None else parameters.object())
    if (strict := given.given("strict")) is not None:
        tool["strict"] = strict.flag()
    return tool


def tool_choice(choice: Given | None, named: str | None, parallel: Given | None) -> Json | None:
    """`named` is the one function that the choice wants, if it is no word; `parallel`: whether calls may go side by side. None
    if nothing is asked for."""
    word = "auto"
    said: Json
    if named is not None:
        said = {"type": "tool", "name": named}
    else:
        word = "auto" if choice is None else choice.word("auto", "none", "required")
        said = {"type": "any" if word == "required" else word}
    one_by_one = parallel is not None and not parallel.flag()
    if one_by_one and word != "none":
        return {**said, "disable_parallel_tool_use": True}
    return None if choice is None and named is None else said


def call(id_: Given, name: Given, arguments: Given) -> Json:
    """A call that the model has made, as a block."""
    try:
        said = orjson.loads(arguments.text() or "{}")
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise arguments.refused("invalid", "must be JSON text of an object")
    return {"type": "tool_use", "id": id_.text(), "name": name.text(), "input": said}


def result(id_: Given, content: str | Sequence[Json]) -> Json:
    """What a call of the client's has come to, as a block."""
    return {"type": "tool_result", "tool_use_id": id_.text(), "content": content}


def image(url: Given, detail: Given | None) -> Json:
    """An image, by its address, or in it."""
    if detail is not None:
        detail.word("auto")
    return {"type": "image", "source": source(url)}


def source(url: Given) -> Json:
    """Where an image or a file is, by its address, or what it is, if that is a data URL."""
    address = url.text()
    if not address.startswith("data:"):
        return {"type": "url", "url": address}
    head, _, data = address.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    if parameters != ["base64"] or not media_type:
        raise url.refused("invalid", "must be a data URL with a media type, in base64")
    return {"type": "base64", "media_type": media_type, "data": data}


def effort(given: Given, asked: Json) -> None:
    """Adds to what is asked for how much a model shall reason."""
    word = given.word("none", *EFFORTS)
    if word == "none":
        asked["thinking"] = {"type": "disabled"}
    else:
        asked["thinking"] = {"type": "adaptive"}
        add_output(asked, effort=word)


def json_schema(given: Given, asked: Json, *more: str) -> None:
    """Adds the schema that the answer must follow, of the object that has it. Its name asks for nothing,
    and Messages knows none; without `strict` it is followed strictly too."""
    given.only("name", "schema", "strict", *more)
    given.needed("name").text()
    if (strict := given.given("strict")) is not None:
        strict.flag()
    add_output(asked, format={"type": "json_schema", "schema": dict(given.needed("schema").object())})


def add_output(asked: Json, **more: object) -> None:
    """Adds to how the answer shall be."""
    before = asked.get("output_config")
    asked["output_config"] = {**(before if isinstance(before, dict) else {}), **more}


def who_asks(user: Given | None, asked: Json) -> None:
    """Adds for whom it is asked."""
    if user is not None:
        asked["metadata"] = {"user_id": user.text()}
