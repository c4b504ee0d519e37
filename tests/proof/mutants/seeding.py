"""What a seeded bug is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` becomes `new` in this place: a function, class or constant by its qualified name, or a script (places.py). `old`
    must be there exactly once."""

    place: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """`tests` are pytest's node ids: at least one of them must fail."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutant(name: str, place: str, old: str, new: str, *tests: str) -> Mutant:
    """Of one edit."""
    return Mutant(name, (Edit(place, old, new),), tests)
