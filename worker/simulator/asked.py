"""What was asked: the body of `POST /v1/messages`, checked as far as the simulator needs it."""

from dataclasses import dataclass

import orjson

from worker.simulator.refused import Refused


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its role, the text of each of its text blocks, the ids of the tool calls in it and of the results."""

    role: str
    texts: tuple[str, ...]
    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """One that the model may call."""

    name: str
    schema: dict[str, object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request. `input_tokens` is an estimate: a quarter of the body's bytes."""

    model: str
    turns: tuple[Turn, ...]
    max_tokens: int
    stream: bool = False
    user_id: str | None = None
    thinking: bool = False
    stop_sequences: tuple[str, ...] = ()
    input_tokens: int = 1
    tools: tuple[Tool, ...] = ()
    include_usage: bool = False

    @property
    def rounds(self) -> int:
        """How often the model has been given results of tools."""
        return sum(bool(turn.results) for turn in self.turns)

    @property
    def fault_key(self) -> str:
        """What one client's retries and continuations have in common: its user id, or else its first user message."""
        if self.user_id is not None:
            return self.user_id
        return next(("\n".join(turn.texts) for turn in self.turns if turn.role == "user"), "")


def parse_request(body: bytes) -> Asked:
    """The request in a body. Raises Refused(400) in the real API's words where a field is missing or wrong."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused(400, "The request body must be a JSON object")
    for key in ("model", "max_tokens", "messages"):
        if key not in data:
            raise Refused(400, f"{key}: Field required")
    thinking = data.get("thinking")
    return Asked(
        model=_model(data["model"]),
        turns=_turns(data["messages"]),
        max_tokens=_max_tokens(data["max_tokens"]),
        stream=_stream(data.get("stream", False)),
        user_id=user_id_of(data),
        thinking=isinstance(thinking, dict) and thinking.get("type", "disabled") != "disabled",
        stop_sequences=_stop_sequences(data.get("stop_sequences")),
        input_tokens=max(1, len(body) // 4),
        tools=_tools(data.get("tools")),
    )


def user_id_of(data: dict[str, object]) -> str | None:
    """`metadata.user_id`, where there is one."""
    metadata = data.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user_id if isinstance(user_id, str) else None


def _model(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(400, "model: Input should be a non-empty string")
    return value


def _max_tokens(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(400, "max_tokens: Input should be an integer greater than or equal to 1")
    return value


def _stream(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(400, "stream: Input should be a valid boolean")
    return value


def _stop_sequences(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise Refused(400, "stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(value)


def _turns(value: object) -> tuple[Turn, ...]:
    if not isinstance(value, list) or not value:
        raise Refused(400, "messages: at least one message is required")
    turns = tuple(_turn(index, message) for index, message in enumerate(value))
    for index, turn in enumerate(turns):
        after = turns[index + 1].results if index + 1 < len(turns) else ()
        if missing := [id_ for id_ in turn.calls if id_ not in after]:
            raise Refused(
                400,
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing[0]}",
            )
        before = turns[index - 1].calls if index else ()
        if unasked := [id_ for id_ in turn.results if id_ not in before]:
            raise Refused(
                400, f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {unasked[0]}"
            )
    return turns


def _tools(value: object) -> tuple[Tool, ...]:
    """Those that have a schema: the others are the API's own."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refused(400, "tools: Input should be a list of objects")
    tools = tuple(
        Tool(each["name"], each["input_schema"])
        for each in value
        if isinstance(each.get("name"), str) and isinstance(each.get("input_schema"), dict)
    )
    if len({tool.name for tool in tools}) < len(tools):
        raise Refused(400, "tools: Tool names must be unique.")
    return tools


def _turn(index: int, message: object) -> Turn:
    if not isinstance(message, dict):
        raise Refused(400, f"messages.{index}: Input should be an object")
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        raise Refused(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if isinstance(content, str):
        return Turn(role, (content,))
    if not isinstance(content, list) or not all(isinstance(block, dict) and "type" in block for block in content):
        raise Refused(400, f"messages.{index}.content: Input should be a string or a list of content blocks")
    texts = [block.get("text") for block in content if block["type"] == "text"]
    if role == "assistant" and "" in texts:
        raise Refused(400, "messages: text content blocks must be non-empty")
    return Turn(
        role,
        tuple(text for text in texts if isinstance(text, str)),
        tuple(str(block.get("id")) for block in content if block["type"] == "tool_use"),
        tuple(str(block.get("tool_use_id")) for block in content if block["type"] == "tool_result"),
    )
