"""The generated mutants that no test can notice, by the reason why; and the files of which none are made."""

from typing import Final

LEFT_OUT: Final = {
    "worker/simulator/": "the far side: what tests talk to, not what is tested",
    "broker/up.py": "starts and tends processes, and is tested with them (tests/packaging)",
    "broker/embedded.py": "starts a process (tests/broker/test_embedded.py)",
    "broker/supervise.py": "tends processes (tests/broker/test_supervise.py)",
    "broker/tether.py": "ends processes (tests/broker/test_tether.py)",
    "broker/processes.py": "starts and ends processes (tests/api/test_processes.py, tests/worker/test_supervisor.py)",
    "worker/supervisor.py": "starts and ends processes (tests/worker/test_supervisor.py)",
    "worker/process.py": "a process from its start to its last signal (tests/faults)",
    "worker/__main__.py": "a command (tests/faults, tests/packaging)",
    "api/__main__.py": "a command (tests/http, tests/packaging)",
    "api/serving.py": "a process from its start to its last signal (tests/api/test_restart.py, tests/api/test_going_away.py)",
}

_FEED, _TRUTH = "api/feed.py Feed", "api/truth.py Truth"
_WRITER, _APPEND = "worker/writer.py Writer", "broker/lua/append.lua -"
_FITS = "api/feed.py fits: if first.attempt == last.attempt and first <= last: => if first"
_PRUNE = f"{_WRITER}._prune: if now - self._pruned_at < _PRUNE_EVERY: => if "
_MARKS = f"{_WRITER}._prune: while self._marks and self._marks[0][0] < now - TAIL_SECONDS: => while self._marks"
_LOOKS = f"{_APPEND}: if first_chunk or ARGV[4] ~= '0' then => if first_chunk or ARGV"
_PRODUCER, _APPENDER = "worker/producer.py Producer", "worker/appender.py Appender"
_DISPATCHER = "worker/dispatch.py Dispatcher"
_SETTLED = f"{_APPENDER}._flush: for writer, usage, reply in zip(batch, usages, replies, strict=True): =>"
_SILENT = f"{_APPENDER}._tick_forever: if now - writer.flushed_at >= _LOOK_EVERY and writer.writable: =>"
_TRANSCRIPT, _OPEN = "broker/transcript.py Transcript", "self._open = -1 => self._open ="
_NO_OTHER_WAY = "# type: ignore[misc] # no other way to say so"
_CONFIG = '__pydantic_config__ = ConfigDict(extra="allow"'
_TYPED = f"broker/request.py -: {_CONFIG}, strict=True) {_NO_OTHER_WAY} => {_CONFIG}"
_STRICT = 'model_config = ConfigDict(strict=True, extra="forbid", frozen=True,'
_FINITE = f"broker/request.py -: {_STRICT} allow_inf_nan=False) => {_STRICT}"
_STILL_OPEN = f"{_TRANSCRIPT}.open: return self._open if 0 <= self._open"

_LISTED: Final[dict[str, tuple[str, ...]]] = {
    "an append is of one attempt, and the entry before its first is one less: the other half never decides": (
        f"{_FITS}.attempt == last.attempt:",
        f"{_FITS} <= last:",
        f"{_FITS}.attempt == last.attempt or first <= last:",
    ),
    "equality was decided on the line before": ("api/feed.py fits: if append.prev > last: => if append.prev >= last:",),
    "another attempt begins at 0, which is never one more than a seq": (
        f"{_FEED}.add: if attempt != self.last.attempt or seq != self.last.seq + 1: => if seq != self.last.seq + 1:",
    ),
    "work that is spared, with the same outcome": (
        f'{_FEED}.show: ready = chunk(b"".join(frames[at:])) if self.following else b"" =>'
        ' ready = chunk(b"".join(frames[at:])) if (self.following) or True else b""',
        f"{_FEED}.show: if len(self.following) < len(self.viewers): => if True:",
        f"{_FEED}.show: if len(self.following) < len(self.viewers): => if len(self.following) <= len(self.viewers):",
        f"{_FEED}._trim: if not cut: # one entry alone may be larger than the bound =>"
        " if False: # one entry alone may be larger than the bound",
        f"{_FEED}.take: if at == len(self.frames) - 1: => if False:",
        f"{_FEED}.take: if at == len(self.frames) - 1: => if at == len(self.frames) + 1:",
        "worker/writer.py -: _PRUNE_EVERY: Final = 1.0 => _PRUNE_EVERY: Final = 2.0",
        f"{_PRUNE}False:",
        f"{_PRUNE}now + self._pruned_at < _PRUNE_EVERY:",
        f"{_PRUNE}now - self._pruned_at <= _PRUNE_EVERY:",
        f"{_WRITER}._prune: self._pruned_at = now => pass",
        f"{_APPEND}: if others > 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end =>"
        " if others >= 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end",
        f"{_LOOKS}[5] ~= '0' then",
        f"{_LOOKS}[4] ~= '1' then",
        'broker/ids.py new_generation_id: return "gen_" + "".join(_CROCKFORD[(bits >> shift) & 31] for shift in'
        ' range(125, -1, -5)) => return "gen_" + "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(125, -2, -5))',
        "broker/lua/common.lua tail: local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1) =>"
        " local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 2)",
    ),
    "one read more, or one entry more of it, with the same outcome": (
        f"{_TRUTH}.join: feed.hold(append) => pass #2",
        f"{_TRUTH}._check: behind = [entry.id for entry in await self._logs.from_(feed.id, last, 2)] != [last] =>"
        " behind = [entry.id for entry in await self._logs.from_(feed.id, last, 3)] != [last]",
        f"{_TRUTH}._check: if behind and feed.synced and feed.last == last: => if behind and feed.last == last:",
        "api/truth.py -: _RESYNC_ENTRIES = 5000 => _RESYNC_ENTRIES = 5001",
    ),
    "there is one dash in it": (
        'broker/ids.py EntryId.of_redis: attempt, _, seq = raw.partition(b"-") => attempt, _, seq = raw.rpartition(b"-")',
    ),
    "a log has no delta before its first block, and none of an attempt before a block of that attempt": (
        f"{_TRANSCRIPT}.__init__: {_OPEN} +1",
        f"{_TRANSCRIPT}.__init__: {_OPEN} -2",
        f"{_TRANSCRIPT}._apply_event: {_OPEN} -2",
    ),
    "a block that is open is there": (
        f"{_STILL_OPEN} < len(self._blocks) else None => {_STILL_OPEN.partition(': ')[2]} <= len(self._blocks) else None",
    ),
    "a signature belongs to a block of thinking, and what is kept ends with one of text": (
        f"{_TRANSCRIPT}._apply_event: self._blocks[self._open].last = id_ => pass",
    ),
    "whether a digest is for security is asked by builds of Python that forbid SHA-1": (
        "broker/lua/__init__.py Script.__init__: self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()"
        " => self.sha = hashlib.sha1(self.text.encode(), ).hexdigest()",
        "broker/lua/__init__.py Script.__init__: self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()"
        " => self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=True).hexdigest()",
    ),
    "JSON has neither bytes nor mappings that are no objects, which is all that this is strict about": (
        f"{_TYPED}, ) {_NO_OTHER_WAY}",
        f"{_TYPED}, strict=False) {_NO_OTHER_WAY}",
    ),
    "every float of ours says it itself": (f"{_FINITE} )", f"{_FINITE} allow_inf_nan=True)"),
    "one is as false as the other": (f"{_TRUTH}._join_pending: return False => return None",),
    "one run more in front of the ring": (
        f"{_FEED}._trim: while len(self._runs) > 1 and self._runs[1][0] < self.base: =>"
        " while len(self._runs) > 2 and self._runs[1][0] < self.base:",
    ),
    "one mark more of a place that has one": (
        f"{_WRITER}.settle: elif last_seq > self.acked: => elif True:",
        f"{_WRITER}.settle: elif last_seq > self.acked: => elif last_seq >= self.acked:",
    ),
    "the newest mark was made just now, so there is always one that is young": (
        f"{_MARKS}[0][0] < now - TAIL_SECONDS:",
    ),
    "one tick of a clock": (f"{_MARKS} and self._marks[0][0] <= now - TAIL_SECONDS:",),
    "a second guard: a log that has gone is refused by its length before": (
        f"{_APPEND}: redis.call('XADD', KEYS[2], 'NOMKSTREAM', attempt .. '-' .. next_seq, kind, value) =>"
        " redis.call('XADD', KEYS[2], attempt .. '-' .. next_seq, kind, value)",
    ),
    "a flag: whether it is there is looked at, its value never": (
        "broker/lua/cancel.lua -: redis.call('SET', KEYS[3], '1', 'PX', ARGV[4]) =>"
        " redis.call('SET', KEYS[3], '0', 'PX', ARGV[4])",
        "broker/lua/claim.lua -: redis.call('SET', KEYS[4], '1', 'PX', int(tonumber(ARGV[4]) + remembered)) =>"
        " redis.call('SET', KEYS[4], '0', 'PX', int(tonumber(ARGV[4]) + remembered))",
        "broker/lua/common.lua seal: redis.call('SET', K[4], '1', 'PX', int(tonumber(r[6]) + remembered_ms)) =>"
        " redis.call('SET', K[4], '0', 'PX', int(tonumber(r[6]) + remembered_ms))",
        "broker/lua/create.lua -: redis.call('SET', KEYS[2], '1', 'PX', int(tonumber(ARGV[1]) + tonumber(ARGV[2]))) =>"
        " redis.call('SET', KEYS[2], '0', 'PX', int(tonumber(ARGV[1]) + tonumber(ARGV[2])))",
    ),
    "one is as false as the other, to whoever asks whether there is another attempt": (
        f"{_PRODUCER}._once: return False => return None",
        f"{_PRODUCER}._once: return False => return None #2",
        f"{_PRODUCER}._conclude: return False => return None",
    ),
    "nobody has asked for a pause, so its cap is not looked at": (
        f"{_PRODUCER}._conclude: await asyncio.sleep(pause(granted.ordinal, None, 0)) =>"
        " await asyncio.sleep(pause(granted.ordinal, None, 1))",
    ),
    "a line of the log": (f"{_PRODUCER}._conclude: case Left(): => case (Left()) if False:",),
    "it was waited for to the very end, so that there is no time left to go on in": (
        f"{_PRODUCER}._finish: continue => break",
    ),
    "the one tick of a clock at which all is over": (
        f"{_APPENDER}._call: looks = now - writer.looked_at >= _LOOK_EVERY =>"
        " looks = now - writer.looked_at > _LOOK_EVERY",
        f"{_SILENT} if now - writer.flushed_at > _LOOK_EVERY and writer.writable:",
    ),
    "half of two is as much as half of one, rounded up": (
        f"{_DISPATCHER}.listen: left = 1 # not known: what waits may have waited since before there was a worker =>"
        " left = 2 # not known: what waits may have waited since before there was a worker",
        f"{_DISPATCHER}.listen: left = 1 => left = 2",
        f"{_DISPATCHER}.listen: left = 1 => left = 2 #2",
        f"{_DISPATCHER}.listen: left = 1 => left = 2 #3",
    ),
    "who has been told to stop asks for no more": (
        f"{_DISPATCHER}._take: return 0 => return None",
        f"{_DISPATCHER}._take: return 0 => return 1",
    ),
    "there are as many replies as calls": (
        f"{_SETTLED} for writer, usage, reply in zip(batch, usages, replies, ):",
        f"{_SETTLED} for writer, usage, reply in zip(batch, usages, replies, strict=False):",
    ),
    "a reply that is no error is none of those that are asked for": (
        f"{_APPENDER}._flush: refusals = [reply for reply in replies if isinstance(reply, RedisError)] =>"
        " refusals = [reply for reply in replies if True]",
    ),
    "what takes no more is left out of the batch": (
        f"{_APPENDER}._settle: if writer.unwritten and writer.writable: => if writer.unwritten:",
        f"{_SILENT} if now - writer.flushed_at >= _LOOK_EVERY:",
    ),
    "a second after the machine's start is as long ago": (
        f"{_APPENDER}._refused: writer.renewed_at = writer.looked_at = 0.0 # not known to have happened: the next call does"
        " => writer.renewed_at = writer.looked_at = 1.0 # not known to have happened: the next call does",
    ),
    "who is done cannot be cancelled, nor waited for": (
        "worker/attempt.py Attempt.run: if not reading.done(): => if True:",
    ),
    "the same sum, found once more": (
        'worker/attempt.py Attempt._read_once: if data["type"] in ("message_start", "message_delta"): => if True:',
    ),
    "no more connections are kept than there are": (
        "worker/upstream.py Upstream.__init__: limits = httpx2.Limits(max_connections=connections,"
        " max_keepalive_connections=connections) => limits = httpx2.Limits(max_connections=connections, )",
    ),
    "a code that has no words of its own gets those of this one": (
        'worker/upstream.py _failures.__exit__: raise UpstreamFailure("upstream_error", told("upstream_error", None),'
        ' retryable=False) from None => raise UpstreamFailure("upstream_error", told("XXupstream_error", None),'
        " retryable=False) from None",
    ),
}

EQUIVALENT: Final = {key: reason for reason, keys in _LISTED.items() for key in keys}
