"""When a Redis under `appendfsync everysec` has its file on the disk, by what INFO says. Pure.

WAITAOF alone cannot tell: in some Redis 7.4, and in Valkey 8 and 9, it answers before the fsync. What holds in all of them is
the schedule itself. Redis runs one fsync at a time, in the background. Each turn of its event loop begins one if something
unsynced is in the file, none is under way, and a second has passed since the last one began.

So let `since` be a look at which no fsync was under way. From there on every fsync that begins has in it whatever had been
written before the sample. At a second look, a second later by Redis's own clock, the next one is due; it has begun when a
third look is answered, as that takes a turn of the event loop. If no fsync is under way then, it is over:

    written      look: none under way         a second later         next look: none under way, so it is on the disk
    ───┴────────────────┴──────────────────────────┴──────────────────────┴──▶
                        since                     due                   synced

A disk whose fsyncs take longer than a second is never seen without one, if there is always something to write. But while
one is under way Redis writes nothing to the file for two seconds, and then counts that it has had to (`aof_delayed_fsync`).
So a file that has grown, without that count, was written to while none was under way; and one that is under way at a look
behind that has begun since.
"""

from dataclasses import dataclass
from typing import Any, Final

_EVERY_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What a Redis said of its file at one moment. `server` names the run of its process, `ms` is its clock. `rewrites` counts
    the files that it has begun. `policy` is `appendfsync`, None where it does not tell. `stalled`: fsyncs fail,
    are put off while a child writes, or are left to the kernel. `size` is the file's in bytes, `delayed` how often it was
    written to though an fsync was under way."""

    server: str
    ms: int
    rewrites: int
    syncing: bool
    stalled: bool
    policy: str | None
    size: int
    delayed: int

    @classmethod
    def of_info(cls, info: dict[str, Any], config: dict[str, str]) -> "Sample | None":
        """From INFO server and persistence, and CONFIG GET *appendfsync*. None if there is no append-only file, or if Redis
        does not tell enough."""
        try:
            if not int(info["aof_enabled"]):
                return None
            children = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "module_fork_in_progress")
            child = any(info.get(each) for each in children)
            policy = config.get("appendfsync")
            put_off = policy == "no" or (child and config.get("no-appendfsync-on-rewrite") != "no")
            return cls(
                server=str(info["run_id"]),
                ms=int(info["server_time_usec"]) // 1000,
                rewrites=int(info["aof_rewrites"]),
                syncing=bool(info["aof_pending_bio_fsync"]),
                stalled=put_off or info["aof_last_write_status"] != "ok",
                policy=policy,
                size=int(info["aof_current_size"]),
                delayed=int(info["aof_delayed_fsync"]),
            )
        except KeyError:
            return None


class Cycle:
    """Sees one sample after another, and knows when all that was written before the first is on the disk."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._clock = 0
        self._since: int | None = None
        self._due = False
        self._begun = False

    def see(self, sample: Sample) -> bool:
        """Whether it is on the disk now. Samples come one by one, each asked for when the last was answered. Another process,
        another file and an fsync that fails begin the cycle anew."""
        last, self._last = self._last, sample
        if last is None or sample.server != last.server:
            self._clock = 0
        # Not `sample.ms`: a clock that goes back does not take the last fsync with it.
        self._clock = max(self._clock, sample.ms)
        if last is None or sample.stalled or (sample.server, sample.rewrites) != (last.server, last.rewrites):
            last, self._since, self._due, self._begun = None, None, False, False
        free = not sample.syncing or (last is not None and sample.size != last.size and sample.delayed == last.delayed)
        if sample.stalled:
            return False
        if self._since is None:
            if free:
                self._since, self._begun = self._clock, sample.syncing
            return False
        return self._ends(sample, free=free)

    def _ends(self, sample: Sample, *, free: bool) -> bool:
        """Behind `since`. `free`: at this sample, or between the last one and this, no fsync was under way."""
        if self._begun:
            return free
        if sample.syncing:
            self._begun = True
            return False
        if self._due:
            return True
        self._due = sample.policy == "always" or sample.ms >= (self._since or 0) + _EVERY_MS
        return False

    def wait_ms(self, sample: Sample) -> int:
        """How long from this sample until the next one that matters, if nothing goes wrong."""
        if self._since is None or self._due or self._begun or sample.policy == "always":
            return 0
        return self._since + _EVERY_MS - sample.ms
