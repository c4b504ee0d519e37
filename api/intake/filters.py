"""What a list is asked for besides its state: `label.<name>=<value>`, several of them, and `external_id=<value>`. Pure."""

from collections.abc import Iterable
from typing import Final

from pydantic import TypeAdapter, ValidationError

from api.intake.problems import Code, Problem, in_query
from broker.tags import Labels, Tags, TagValue

_LABEL: Final = "label."
_EXTERNAL_ID: Final = "external_id"
_LABELS: Final = TypeAdapter[dict[str, str]](Labels)
_VALUES: Final = TypeAdapter[str](TagValue)


def tags_asked_for(parameters: Iterable[tuple[str, str]]) -> Tags:
    """The tags that all generations of a list must have. Raises Problem (422), which names the parameter."""
    labels: dict[str, str] = {}
    external_id: str | None = None
    for name, value in parameters:
        if name == _EXTERNAL_ID:
            if external_id is not None:
                raise Problem(Code.INVALID_REQUEST, "`external_id` must be given once.")
            external_id = value
        elif name.startswith(_LABEL):
            if (label := name.removeprefix(_LABEL)) in labels:
                raise Problem(Code.INVALID_REQUEST, "Each label must be given once.")
            labels[label] = value
    if labels:
        _check(_LABELS, labels, _LABEL)
    if external_id is not None:
        _check(_VALUES, external_id, _EXTERNAL_ID)
    return Tags(labels, external_id)


def _check(values: TypeAdapter[dict[str, str]] | TypeAdapter[str], given: object, name: str) -> None:
    try:
        values.validate_python(given)
    except ValidationError as error:
        raise in_query(error, name) from None
