"""What the API notes for its audit log: a tuple into a bounded queue, at once and without waiting; a thread beside the loop
writes what has gathered, once a second, and has the disk sync it. So a process that is killed loses what it noted in its last
second.
"""

import logging
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Final

from api.audit.lines import AT_WILL, Action, Note, Place, Who
from api.audit.trail import Trail

log = logging.getLogger("respool.audit")

EVERY_SECONDS: Final = 1.0
MOST_WAITING: Final = 100_000
"""Notes that are not written yet, 30 MB of them: a denial-of-service guard, where a disk hangs or requests come faster than
lines are written."""
_MOST_AT_WILL: Final = MOST_WAITING * 3 // 4
"""Of these, views and denials: who causes ten thousands of them a second must not push out what is noted of a key or an
erasure."""
_CLOSE_SECONDS: Final = 5.0


class Journal:
    """Where no audit log is configured: nothing is noted, and nothing costs."""

    @property
    def refuses(self) -> bool:
        """Whether nothing may be done now, as it could not be noted."""
        return False

    def note(self, action: Action, who: Who | None, id_: str = "", result: str = "ok", peer: str = "") -> None:
        """Notes that `who` (None: nobody who is known) did this, with what result: a word, or the code of a problem. `id_` is
        that of the generation, the key or the link; `peer` an address, where `who` does not tell one. Never waits, never
        raises."""

    def close(self) -> None:
        """Writes what was noted, for some seconds at most."""


NO_JOURNAL: Final = Journal()


class FileJournal(Journal):
    """Writes to files in this folder, from when it is made until it is closed. `required`: where it cannot, it `refuses`.
    Raises BadAudit."""

    def __init__(self, folder: Path, process: str, *, required: bool = False) -> None:
        self._trail = Trail(folder, process)
        self._required = required
        self._waiting: deque[Note] = deque()
        self._missed: Counter[Action] = (
            Counter()
        )  # it only grows, by who notes; the thread keeps what it has told of it
        self._told: Counter[Action] = Counter()
        self._held: list[Note] = []
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def refuses(self) -> bool:
        return self._required and (self._failing or len(self._waiting) >= _MOST_AT_WILL)

    @property
    def end(self) -> Place:
        """The last line that was written."""
        return self._trail.end

    def note(self, action: Action, who: Who | None, id_: str = "", result: str = "ok", peer: str = "") -> None:
        waiting = self._waiting
        if len(waiting) >= (_MOST_AT_WILL if action in AT_WILL else MOST_WAITING):
            self._missed[action] += 1
        elif who is None:
            waiting.append(Note(time.time(), action, "", "", id_, result, peer))
        else:
            waiting.append(Note(time.time(), action, who.key, who.owner, id_, result, peer or who.address))

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self._write()
        self._write()
        end = self._trail.end
        log.info("the audit log ends, in %s, with line %d: %s", end.file, end.seq, end.digest)
        self._trail.close()

    def _write(self) -> None:
        """What cannot be written is held, and tried again; meanwhile the queue fills."""
        if not self._held:
            self._held = [self._waiting.popleft() for _ in range(len(self._waiting))]
        missed = Counter(dict(self._missed))
        if not self._held and missed == self._told:
            return
        try:
            self._trail.write(self._held, missed - self._told)
        except OSError as error:
            if not self._failing:
                log.error("the audit log cannot be written: %s", error.strerror or type(error).__name__)
            self._failing = True
            return
        self._held, self._told = [], missed
        if self._failing:
            log.info("the audit log is written again")
        self._failing = False


def open_journal(folder: Path | None, process: str, *, required: bool = False) -> Journal:
    """The journal of this process; one that notes nothing where there is no folder. Raises BadAudit."""
    return NO_JOURNAL if folder is None else FileJournal(folder, process, required=required)
