"""A journal that tells what was noted."""

from api.audit.journal import Journal
from api.audit.lines import Action, Who

Noted = tuple[str, str | None, str, str]


class Kept(Journal):
    """Keeps what was noted: action, the key that did it, id, result."""

    def __init__(self) -> None:
        self.notes: list[Noted] = []
        self.refusing = False

    @property
    def refuses(self) -> bool:
        return self.refusing

    def note(self, action: Action, who: Who | None, id_: str = "", result: str = "ok", peer: str = "") -> None:
        self.notes.append((action, None if who is None else who.key, id_, result))

    def taken(self) -> list[Noted]:
        notes, self.notes = self.notes, []
        return notes
