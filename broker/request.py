"""What a submitter may ask for: the Messages fields, handed to upstream as they came, and our own options."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from broker.bounds import CHAT_SYSTEM, AllowedUrl, Model, Named, Retention, ServerTools, StartAfter, not_given, signed
from broker.errors import BrokerError
from broker.messages import Block, Content, TextOrObject
from broker.record import Origin
from broker.schedule import Priority, Schedule, unix_ms
from broker.tags import Labels, Tags, TagValue
from broker.webhooks import EVENTS, Hook, WebhookEvent

MANY_FIELDS = 64  # denial-of-service guard: to report each of 90,000 unknown fields takes half a second
MANY_FALLBACKS = 5
MANY_BETAS = 20
MANY_MESSAGES = 10_000  # the same: to check 25,000 of one letter and to store them takes 0.1 s

OnInterrupt = Literal["continue", "restart", "fail"]
Durability = Literal["normal", "strict"]
Cache = Literal["system", "conversation"]
"""What of a prompt the upstream is asked to keep for the next one."""
OnAbandon = Literal["finish", "cancel"]


class UnreadableRequest(BrokerError):
    """What is stored is not a request this version can read."""


@dataclass(frozen=True, slots=True)
class Options:
    """Our half of a request. Times are seconds; None means the worker's own setting."""

    on_interrupt: OnInterrupt
    first_token_timeout: float | None
    idle_timeout: float | None
    total_timeout: float
    retention: int | None
    durability: Durability
    on_abandon: OnAbandon = "finish"
    abandon_after: float = 30.0
    abandon_unwatched: bool = False
    fallback: Sequence[str] | None = None
    server_tools: Sequence[str] | None = None
    max_tool_rounds: int = 10
    max_spend_tokens: int | None = None
    webhook: "Webhook | None" = None
    cache: Cache | None = None
    labels: Mapping[str, str] | None = None
    external_id: str | None = None
    stream: bool = True
    start_after: str | None = None
    priority: Priority = "interactive"

    def schedule(self, background_ms: int) -> Schedule:
        """`background_ms`: by how much what is in the background is placed later in the queue."""
        start_ms = None if self.start_after is None else unix_ms(self.start_after)
        return Schedule(start_ms, background_ms if self.priority == "background" else None)

    @property
    def tags(self) -> Tags:
        return Tags(self.labels or {}, self.external_id)


MaxTokens = Annotated[int, Field(ge=1, le=1_000_000)]
MaxSpend = Annotated[int, Field(ge=1, le=1_000_000_000)]
Silence = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Grace = Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)]
Total = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


ShortText = Annotated[str, Field(min_length=1, max_length=256)]
BETA = re.compile(r"[A-Za-z0-9._-]{1,64}")
Beta = Annotated[str, Field(pattern=f"^{BETA.pattern}$")]
"""What the upstream is asked to try out: a word of the `anthropic-beta` header."""


class _Strict(BaseModel):
    """No coercion ("5" is not 5, true is not 1), no unknown fields; an object with too many fields is refused unread."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, data: object) -> object:
        if isinstance(data, dict) and len(data) > MANY_FIELDS:
            raise PydanticCustomError("too_many_fields", "has too many fields")
        return data


def nullable(schema: dict[str, Any]) -> None:
    """Says of each field that may be left out that it may be null."""
    for name, field in schema.get("properties", {}).items():
        if name not in schema.get("required", ()) and {"type": "null"} not in field.get("anyOf", ()):
            about = {key: field.pop(key) for key in ("title", "default", "description") if key in field}
            schema["properties"][name] = {"anyOf": [field, {"type": "null"}], **about}


class _Body(_Strict):
    """A request's top level, where null means the same as not given (many clients send every field they know of)."""

    model_config = ConfigDict(json_schema_extra=nullable)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        if isinstance(data, dict) and len(data) <= MANY_FIELDS:
            return {name: value for name, value in data.items() if value is not None or name not in cls.model_fields}
        return data


class Turn(_Strict):
    """One turn. Roles need not alternate and either may begin, as upstream allows."""

    role: Literal["user", "assistant"]
    content: Content


class Metadata(_Strict):
    """The one thing Messages knows about who asks."""

    user_id: str | None = None


def _once(events: list[WebhookEvent]) -> list[WebhookEvent]:
    if len(set(events)) != len(events):
        raise PydanticCustomError("named_twice", "names one twice")
    return events


class Webhook(_Strict):
    """Where the end of the generation is told, and which ends."""

    url: AllowedUrl
    events: Annotated[list[WebhookEvent], Field(min_length=1, max_length=len(EVENTS)), AfterValidator(_once)] = list(
        EVENTS
    )


Messages = Annotated[list[Turn], Field(min_length=1, max_length=MANY_MESSAGES, fail_fast=True)]


class GenerationRequest(_Body):
    """The body of `POST /v1/generations`. A field that is None was not given."""

    model: Model = Field(default_factory=not_given, validate_default=True)
    messages: Messages
    system: Content | None = None
    max_tokens: MaxTokens = 4096
    stop_sequences: Annotated[list[str], Field(fail_fast=True)] | None = None
    thinking: Block | None = None
    tools: Annotated[list[dict[str, object]], Field(fail_fast=True)] | None = None
    tool_choice: dict[str, object] | None = None
    metadata: Metadata | None = None
    cache_control: Block | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    output_config: dict[str, object] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: Literal["standard", "fast"] | None = None
    inference_geo: ShortText | None = None
    container: TextOrObject | None = None
    diagnostics: dict[str, object] | None = None
    context_management: dict[str, object] | None = None
    betas: Annotated[list[Beta], Field(min_length=1, max_length=MANY_BETAS)] | None = None

    on_interrupt: OnInterrupt = "continue"
    first_token_timeout: Silence | None = None
    idle_timeout: Silence | None = None
    total_timeout: Total = 600.0
    retention: Retention | None = None
    durability: Durability = "normal"
    on_abandon: OnAbandon = "finish"
    abandon_after: Grace = 30.0
    abandon_unwatched: bool = False
    labels: Labels | None = None
    external_id: TagValue | None = None
    stream: bool = True
    start_after: StartAfter | None = None
    priority: Priority = "interactive"
    fallback: Annotated[list[Named], Field(min_length=1, max_length=MANY_FALLBACKS)] | None = None
    server_tools: ServerTools | None = None
    max_tool_rounds: Annotated[int, Field(ge=1, le=50)] = 10
    max_spend_tokens: MaxSpend | None = None
    webhook: Annotated[Webhook, AfterValidator(signed)] | None = None
    cache: Cache | None = None

    def upstream_body(self) -> dict[str, object]:
        """The Messages fields that were given, and `max_tokens`, ready for upstream."""
        return {name: value for name, value in self._given().items() if name not in OURS and name not in ADDED}

    def options(self) -> Options:
        """Our own fields."""
        return Options(**{name: getattr(self, name) for name in OURS})

    @property
    def hook(self) -> Hook | None:
        """The webhook, as the record has it."""
        return None if self.webhook is None else Hook(self.webhook.url, tuple(self.webhook.events))

    @property
    def origin(self) -> Origin | None:
        """The generation that this one repeats or goes on from."""
        return None

    def to_bytes(self) -> bytes:
        """The stored form; `from_bytes` reads it back, in this version or a later one."""
        return orjson.dumps(self._given())

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """The request that `to_bytes` stored. Raises UnreadableRequest, never pydantic's error: it is no client's."""
        try:
            return cls.model_validate(orjson.loads(stored))
        except (orjson.JSONDecodeError, ValidationError):
            raise UnreadableRequest from None

    def fingerprint(self) -> str:
        """SHA-256 (hex) of what was asked, for comparing two bodies under one idempotency key.

        The order of keys, nulls and defaults written out do not change it, nor will a field added later with a
        default, nor what the operator fills in. Inside blocks nothing is interpreted: 1 and 1.0 differ there.
        """
        fields, given = type(self).model_fields, self.model_fields_set
        asked = {
            name: value for name, value in self._given().items() if name in given and value != fields[name].default
        }
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _given(self) -> dict[str, object]:
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        given["messages"] = [{"role": message.role, "content": message.content} for message in self.messages]
        if self.metadata is not None:
            given["metadata"] = self.metadata.model_dump(exclude_unset=True)
        if self.webhook is not None:
            given["webhook"] = self.webhook.model_dump()
        return given


OURS = frozenset(Options.__slots__)


class StoredRequest(GenerationRequest):
    """A request as its record has it: what was asked for, and what the API knows of where that came from. No submitter gives
    these three: `continue_from` is the text of generation `continue_of`, which the answer goes on from."""

    retry_of: str | None = None
    continue_of: str | None = None
    continue_from: str | None = None

    @property
    def origin(self) -> Origin | None:
        if self.retry_of is not None:
            return Origin("retry", self.retry_of)
        return None if self.continue_of is None else Origin("continue", self.continue_of)


ADDED = StoredRequest.model_fields.keys() - GenerationRequest.model_fields.keys()


class ChatRequest(_Body):
    """The body of `POST /v1/chat/stream`: the plain chat form of a GenerationRequest."""

    model: Model = Field(default_factory=not_given, validate_default=True)
    messages: Messages
    system: Content | None = None
    max_tokens: MaxTokens = 4096
    on_abandon: OnAbandon = "cancel"
    abandon_after: Grace = 30.0
    cache: Cache | None = None

    @classmethod
    def generation(cls, body: dict[str, object], context: Mapping[str, object]) -> GenerationRequest:
        """The request for this body, with our options at their defaults, but that it is cancelled where nobody watches: who
        asks so watches, and has gone if nobody ever did. Raises ValidationError."""
        chat = cls.model_validate(body, context=context)
        asked = chat.model_fields_set
        given: dict[str, object] = {
            name: getattr(chat, name) for name in cls.model_fields if name in asked or name != "model"
        }
        given["abandon_unwatched"] = True
        usual = None if "system" in asked else context.get(CHAT_SYSTEM)
        request = GenerationRequest.model_validate({**given, "system": usual or chat.system}, context=context)
        if usual:
            request.model_fields_set.discard("system")
        return request
