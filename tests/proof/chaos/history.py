"""What happened, as the actors wrote it down: one JSON object a line, in order, `t` in seconds of CLOCK_MONOTONIC.

accepted   gen, id, asked, seed, tokens, thinks,   a submit, made at `asked` under the key `gen`, was answered with 202;
           strict, keyed, again, hooked            `keyed`: it had a key at all; `again`: it had been sent before, and had none;
                                                   `hooked`: its end is to be told by a webhook
watches    gen, viewer                             a viewer begins
opened     gen, viewer, status, cursor             a viewer's connection was answered
frame      gen, viewer, block                      it got a whole frame
closed     gen, viewer, how                        clean: the response ended; cut; left: the viewer itself hung up
told       gen, id, state, webhook, signed,        a webhook told the end of generation `id`, and was answered so; `signed`: its
           status                                  signature was right
cancelled  gen, status, asked                      a cancel, made at `asked`, was acknowledged
fault      kind, target, at, until, hits           one was injected; it hit so many
erased     gen, id, how, asked, status, complete   an erasure, asked for at `asked`, was answered so
turned_away  gen, tenant, status, code, after,     a submit was answered with 410 or 429; `after`: when to come back
           asked
guest      gen, viewer, by                         a viewer that has a key or a link of its own
redacted   gen, viewer, block                      a `frame` of one whose link is redacted
barred     gen, viewer, how, asked, at             what let it in was revoked, or expired, at `at`
refused    tenant, key, at, asked, made, until     a key was answered with 401 that was there since `made`, and valid until then
rewind     at, mark, of, synced                    the store was stopped then, and came back as it was at `mark`: `of` names
                                                   the one of two that it was; `synced`: with all that was on disk
died       name, code                              a process ended that nobody had ended
healed                                             every fault is over and every process runs
roll       gen, viewer, state, heard               10 s later: open, closed; and when it last heard anything
gone       gen, id, status, code                   the API knows no such generation
remains    gen, id, places                         what was erased is still there
read       gen, api, blocks                        the whole log, from one API
record     gen, record                             GET of the generation; `+1` follows the name of one that was made
                                                   when the store had forgotten the first
asked      gen, calls                              the upstream's account of the calls; `input`: the tokens of the request
keys       eternal, left                           Redis keys without TTL; what should be empty and is not
ledger     tenant, used, charges, queued, running  what the limited tenant is charged in the end
audit      faults, lines, noted                    of the audit log; `noted`: ids, by what was done
secrets    found                                   where prompts, keys and tokens can be read
turns      crowd, before, most                     so many of another tenant's crowd were begun before one that came behind it
clock      wall_ms, keys, sealed                   what the wall clock says now, and what the round is set to
process    name, when, descriptors, threads, kib   from /proc, at the beginning and at the end
figure     name, seconds, late                     something that was measured in the calm, by a process that was so late itself
note       text                                    anything else, for whoever reads this
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Line = dict[str, Any]

FILE = "history.jsonl"


def now() -> float:
    """The clock of all histories; the simulated upstream's `*_ns` are of the same one."""
    return time.monotonic()


class Recorder:
    """Writes a history. Buffered: `close` it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE).open("wb", buffering=1 << 20)

    def write(self, did: str, **fields: Any) -> None:
        self._file.write(orjson.dumps({"t": now(), "did": did, **fields}, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> list[Line]:
    """A history that was written, in order."""
    return list(_lines(folder))


def _lines(folder: Path) -> Iterator[Line]:
    with (folder / FILE).open("rb") as file:
        for raw in file:
            yield orjson.loads(raw)
