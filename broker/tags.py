"""What a submitter's own system calls a generation: labels, and an external id. Lists find it by them. Pure.

Each of them is a tag. The lists of a tag's generations are named by its digest: names of keys are seen by whoever looks after
Redis, and labels may hold people's names.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import orjson
from pydantic import Field

MOST_LABELS: Final = 16
LABEL_NAME: Final = "[A-Za-z0-9_.-]{1,64}"
LONGEST_VALUE: Final = 256

LabelName = Annotated[str, Field(pattern=f"^{LABEL_NAME}$")]
TagValue = Annotated[str, Field(min_length=1, max_length=LONGEST_VALUE)]
Labels = Annotated[dict[LabelName, TagValue], Field(max_length=MOST_LABELS)]

_DIGEST_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Tags:
    """`labels` by their names; `external_id` is None where there is none."""

    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None

    def __bool__(self) -> bool:
        return bool(self.labels) or self.external_id is not None

    def are_in(self, others: "Tags") -> bool:
        """Whether all of these are among the others."""
        same_id = self.external_id is None or self.external_id == others.external_id
        return same_id and self.labels.items() <= others.labels.items()

    @property
    def digests(self) -> tuple[str, ...]:
        """By which each is listed: 128 bits in hex. Two tags of one digest would share a list, and a reader of a list looks at
        the records."""
        return tuple(hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS] for name in self._names())

    def _names(self) -> Iterator[str]:
        for name, value in self.labels.items():
            yield f"label\0{name}\0{value}"
        if self.external_id is not None:
            yield f"external_id\0{self.external_id}"

    def given(self) -> dict[str, object]:
        """Those that there are, as fields of a JSON object."""
        labels: dict[str, object] = {"labels": dict(self.labels)} if self.labels else {}
        return labels if self.external_id is None else {**labels, "external_id": self.external_id}

    def to_bytes(self) -> bytes:
        """As the record has them; nothing where there are none."""
        return orjson.dumps(self.given()) if self else b""

    @classmethod
    def from_bytes(cls, stored: bytes | None) -> "Tags":
        """What `to_bytes` made."""
        if not stored:
            return NO_TAGS
        fields = orjson.loads(stored)
        return cls(fields.get("labels", {}), fields.get("external_id"))


NO_TAGS: Final = Tags()
