"""A value of a request's body together with its place in it, so that whatever is wrong is refused by its JSON pointer. Pure."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from api.intake.problems import Code, Problem, pointer

Json = dict[str, object]
Place = tuple[int | str, ...]


class Given(NamedTuple):
    """Null is the same as not given. All that read it raise Problem (422) where it is something else."""

    value: object
    place: Place = ()

    def refused(self, code: str, detail: str) -> Problem:
        """422 that points here. Nothing that was submitted may be in `detail`."""
        error = {"pointer": pointer(self.place), "code": code, "detail": detail}
        return Problem(Code.INVALID_REQUEST, errors=[error])

    def unsupported(self) -> Problem:
        """There are no words for it in Messages."""
        return self.refused("unsupported_field", "cannot be said to a model here")

    # -- objects

    def object(self) -> Mapping[str, object]:
        if not isinstance(self.value, dict):
            raise self.refused("wrong_type", "must be an object")
        return cast(Json, self.value)

    def only(self, *known: str) -> None:
        """Refuses any other member."""
        for name, value in self.object().items():
            if name not in known and value is not None:
                raise self.at(name).unsupported()

    def at(self, name: str) -> "Given":
        """The member, which may not be there."""
        return Given(self.object().get(name), (*self.place, name))

    def given(self, name: str) -> "Given | None":
        """The member, if it is there."""
        found = self.at(name)
        return None if found.value is None else found

    def needed(self, name: str) -> "Given":
        """The member, which must be there."""
        found = self.at(name)
        if found.value is None:
            raise found.refused("missing", "is required")
        return found

    # -- anything else

    def items(self) -> list["Given"]:
        if not isinstance(self.value, list):
            raise self.refused("wrong_type", "must be a list")
        return [Given(each, (*self.place, index)) for index, each in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.refused("wrong_type", "must be a string")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.refused("wrong_type", "must be true or false")
        return self.value

    def word(self, *allowed: str) -> str:
        """One of these words."""
        said = self.text()
        if said not in allowed:
            raise self.refused("not_allowed", f"must be {' or '.join(allowed)}")
        return said


def in_their_words(problem: Problem, names: Mapping[str, str]) -> Problem:
    """The problem of what a request was made into, with its pointers into the request itself: `names` are theirs, by ours. In
    what is not named the place is not known closer than the field."""
    places = problem.extensions.get("errors")
    if not isinstance(places, list):
        return problem
    found: list[object] = []
    for place in places:
        first, *_ = str(place.get("pointer", "")).removeprefix("/").split("/")
        found.append({**place, "pointer": f"/{names[first]}"} if first in names else place)
    problem.extensions = {**problem.extensions, "errors": found}
    return problem
