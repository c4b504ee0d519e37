"""The generated mutants that no test can notice, by the reason why; and the modules and packages of which none are made.

A key names a function, or the module (with a dash behind it) for what runs at import, by as little of its name as no other has.
"""

from typing import Final

LEFT_OUT: Final = {
    "simulator": "the far side: what tests talk to, not what is tested",
    "broker.local": "starts and tends processes, and is tested with them (tests/packaging, tests/broker/local)",
    "broker.processes": "starts and ends processes (tests/broker/processes, tests/system/test_processes.py)",
    "worker.children": "starts and ends processes (tests/worker/test_children.py)",
    "worker.process": "a process from its start to its last signal (tests/system/faults)",
    "worker.__main__": "a command (tests/system/faults, tests/packaging)",
    "api.__main__": "a command (tests/system/http, tests/packaging)",
    "serving": "a process from its start to its last signal (tests/system/test_restart.py, tests/system/test_going_away.py)",
}

_NOT_WHOLE = "pipe = self.redis.pipeline(transaction=False)"
_NO_LOOK = "return [id_ for id_, *looks in zip(ids, due, starting, strict=True) if looks == [None, None]]"
_LISTED_ROWS = 'rows = await self.redis.zrevrangebyscore(list_, top, "-inf", 0, limit + 8, withscores=True)'
_ERRORS = "error.errors("
_BEST = "chosen, best = None, (0.0, 2)"
_JUMPS = "if last == (attempt, seq"
_RING, _RENDITION, _CATCH_UP = "Ring", "Rendition", "CatchUp"
_JOIN = f"{_RENDITION}.position_behind: if self._state is UNKNOWN"
_NEW, _JOINED = f"{_RENDITION}.show: if body := frames[at] if at", ' else b"".join(frames[at:]):'
_WRITER, _APPEND = "Writer", "append.lua -"
_FITS = "fits: if first.attempt == last.attempt and first <= last: => if first"
_PRUNE = f"{_WRITER}._prune: if now - self._pruned_at < _PRUNE_EVERY: => if "
_MARKS = f"{_WRITER}._prune: while self._marks and self._marks[0][0] < now - TAIL_SECONDS: => while self._marks"
_LOOKS = f"{_APPEND}: if first_chunk or ARGV[4] ~= '0' then => if first_chunk or ARGV"
_PRODUCER, _APPENDER = "Producer", "Appender"
_DISPATCHER = "Dispatcher"
_SETTLED = f"{_APPENDER}._flush: for writer, usage, reply in zip(batch, usages, replies, strict=True): =>"
_SILENT = f"{_APPENDER}._tick_forever: if now - writer.flushed_at >= _LOOK_EVERY and writer.writable: =>"
_KEY, _TOKEN = 'os.environ.get("ANTHROPIC_API_KEY")', 'os.environ.get("ANTHROPIC_AUTH_TOKEN")'
_KEYS_SET = f"check_credentials: if {_KEY} or {_TOKEN}: =>"
_TRANSCRIPT, _OPEN = "Transcript", "self._open = -1 => self._open ="
_NO_OTHER_WAY = "# type: ignore[misc] # no other way to say so"
_CONFIG = '__pydantic_config__ = ConfigDict(extra="allow"'
_TYPED = f"broker.messages -: {_CONFIG}, strict=True) {_NO_OTHER_WAY} => {_CONFIG}"
_STRICT = 'model_config = ConfigDict(strict=True, extra="forbid", frozen=True,'
_FINITE = f"request -: {_STRICT} allow_inf_nan=False) => {_STRICT}"
_STILL_OPEN = f"{_TRANSCRIPT}.open: return self._open if 0 <= self._open"

_GONE_NEW = "if gone := [id_ for (_, id_), record in zip(rows, found, "
_GONE = f"Service.list: {_GONE_NEW}"
_HUB, _VIEWER = "Hub", "Viewer"
_TURN = f"{_HUB}._check: self._turn = (self._turn + 1) % _SAFETY_TICKS => self._turn = (("
_SILENT_FEED = f"{_HUB}._check: silent = self._clock() - feed.changed_at"
_TOLD = f"{_HUB}._tell_waits: for feed, wait in zip(feeds, waits, strict=True): => for feed, wait in zip(feeds, waits, "
_HELD_END = "StrictEnds.held_end: return end if end is not None and (record.id, end) not in self._safe else None =>"

_LOAN, _LENT = "viewer.lend(self._borrowed.loan", "lets and self._borrowed is not None"

_BOUNDED = "BoundedProtocol"
_STEP_0, _OF_THREE = "_step = ", "# changes with each of these three"
_LENIENT = "self.parser.set_dangerous_leniencies(lenient_data_after_close="
_DROPPED = "# as uvicorn does: it is dropped"
_LENIENT_TRUE = f"{_BOUNDED}._without_upgrade: {_LENIENT}True) {_DROPPED} =>"
_DERIVATION = "Derivation.of"
_LOOKED = "Logs.looks: found = dict(zip(ids, await run_all(self.redis, [log_steps.look(id_) for id_ in ids])"
_RUN_ALL = "run_all: return [await _read(redis, call, reply) for call, reply in zip(calls, replies"
_SENT_AGAIN = "Lane.send: for at, reply in zip(unknown, again"
_SAYS = "word(reply) == first_word"
_UNKNOWN = "_those_that_say: at for at, reply in enumerate(replies) if"
_CHOOSES = "return choose(ids, made, seconds * 1000"
_UNUSED = "choose: unused = [id_ for id_, tombstone in zip(ids[1:], made[1:]"
_HELD = 'if sys.platform == "linux" and lent is not None and'
_ASKED = f"bytes_taken: {_HELD} lent.fileno() >= 0: => {_HELD}"
_LEAVES = "HttpProtocol.connection_lost: if self._running is not None and not self._running.response_complete: =>"
_HALF = "parse: if HALF_A_PAIR.search(text): # only an escape can smuggle in half of a pair =>"
_DEPTH = "_check_structure: if max(accumulate(STEPS[bracket] for bracket in brackets), default="
_DIGITS = ("_integer: if len(digits) > ", " or not -(1 << 63) <= (number := int(digits)) < 1 << 64:")
_SENDS = "Sturdy.send_packed_command"
_CANCELS = f"{_SENDS}: cancels = task.cancelling() if task is not None else 0 =>"
_ASKS = 'checks_hostname: asks = str(options.get("ssl_cert_reqs", "required")).lower() != "none"'
_LISTED: Final[dict[str, tuple[str, ...]]] = {
    "a name that only type checkers read": ('lua -: P = ParamSpec("P") => P = ParamSpec("XXP")',),
    "a number that changes, by whatever": (
        f"bounded -: {_STEP_0}0 {_OF_THREE} => {_STEP_0}1 {_OF_THREE}",
        f"{_BOUNDED}._enter: self._step += 1 => self._step += 2",
        f"{_BOUNDED}._enter: self._step += 1 => self._step -= 1",
        f"{_BOUNDED}.on_chunk_header: self._step += 1 => self._step += 2",
        f"{_BOUNDED}.on_chunk_header: self._step += 1 => self._step -= 1",
    ),
    "what is behind a request that ends the connection is dropped, or refused on one that is closing: neither is seen": (
        f"{_BOUNDED}._parse: if self._deaf: => if False:",
        f"{_LENIENT_TRUE} pass {_DROPPED}",
        f"{_LENIENT_TRUE} self.parser.set_dangerous_leniencies() {_DROPPED}",
        f"{_LENIENT_TRUE} {_LENIENT}False) {_DROPPED}",
        f"{_BOUNDED}.on_message_complete: if not self.parser.should_keep_alive(): => if False:",
        f"{_BOUNDED}.on_message_complete: self._deaf = True => pass",
        f"{_BOUNDED}.on_message_complete: self._deaf = True => self._deaf = False",
    ),
    "who answers and who gives way sets it as well, and a parser that has failed parses nothing more": (
        f"{_BOUNDED}._refuse: self._deaf = True => pass",
        f"{_BOUNDED}._refuse: self._deaf = True => self._deaf = False",
    ),
    "each feed has its turn once in five ticks, whichever comes first": (
        f"{_HUB}.__init__: self._turn = 0 => self._turn = 1",
        f"{_TURN}self._turn - 1)) % _SAFETY_TICKS",
        f"{_HUB}._check: self._turn = (self._turn + 1) % _SAFETY_TICKS => self._turn = (self._turn + 2) % _SAFETY_TICKS",
    ),
    "a tick is one second": (
        f"{_HUB}._keep_alive: quiet = now - self._settings.keep_alive + 2 * _TICK =>"
        " quiet = now - self._settings.keep_alive + 2 / _TICK",
    ),
    "one moment of a clock": (f"{_SILENT_FEED} > _TICK => {_SILENT_FEED.partition(': ')[2]} >= _TICK",),
    "as many places are told as were asked for": (f"{_TOLD}):", f"{_TOLD}strict=False):"),
    "there is nothing to show": (f"{_HUB}.read: if self._unshown: => if True:",),
    "a number that no client's is": (f"{_VIEWER}.__init__: self._seen = -1 => self._seen = -2",),
    "a stream that has begun says nothing more of coming back": (
        f'{_VIEWER}.take: return self.view.framing(body if self._begun else self.begin(body)) if body else b"" =>'
        ' return self.view.framing(body if (self._begun) and False else self.begin(body)) if body else b""',
    ),
    "nothing is as false as no bytes, and a read that was begun just now is looked at once more": (
        f'{_VIEWER}._from_ring: return b"" => return None',
        f'{_VIEWER}._from_ring: return b"" => return None #2',
        f"{_VIEWER}._from_log: return False => return None",
        f"{_VIEWER}._from_log: return False => return None #2",
        f"{_VIEWER}._from_log: return False => return None #3",
        "Disk._try: return False => return None",
        "Disk._complete: return False => return None",
        f"{_VIEWER}._from_log: return False => return True",
    ),
    "what is in no table is taken for what is wanted by default": (
        '_tls: context.verify_mode = needs.get(str(where.get("ssl_cert_reqs", "required")).lower(),'
        ' ssl.CERT_REQUIRED) => context.verify_mode = needs.get(str(where.get("ssl_cert_reqs", "XXrequired")).lower(),'
        " ssl.CERT_REQUIRED)",
    ),
    "what is not there is in no set, and is the answer": (
        f"{_HELD_END} return end if (record.id, end) not in self._safe else None",
    ),
    "an append is of one attempt, and the entry before its first is one less: the other half never decides": (
        f"{_FITS}.attempt == last.attempt:",
        f"{_FITS} <= last:",
        f"{_FITS}.attempt == last.attempt or first <= last:",
    ),
    "equality was decided on the line before": ("fits: if append.prev > last: => if append.prev >= last:",),
    "work that is spared, with the same outcome": (
        f"{_RENDITION}.show: if following: => if True:",
        f"{_RENDITION}._begin: if held: => if True:",
        f"{_NEW} == end - 1{_JOINED} => {_NEW.partition(': ')[2][:-2]}(at == end - 1) and False{_JOINED}",
        f"{_NEW} == end - 1{_JOINED} => {_NEW.partition(': ')[2]} == end + 1{_JOINED}",
        "Ring.add: if last == (attempt, seq + len(entries)): => if False:",
        "Feed.take: if prev is None and ring.synced and ring.last == (attempt, seq - 1): # nearly always"
        " => if False: # nearly always",
        'text._lines: if b"\\r" not in text: => if False:',
        "Lane.send: if ResponseError in set(map(type, replies)): => if True:",
        f"{_RENDITION}.show: if len(following) < len(self.viewers): => if True:",
        f"{_RENDITION}.show: if len(following) < len(self.viewers): => if len(following) <= len(self.viewers):",
        f"{_RENDITION}._trim: if not cut: # one entry alone may be larger than the bound =>"
        " if False: # one entry alone may be larger than the bound",
        f"{_RENDITION}.take: if at == len(self.frames) - 1: => if False:",
        f"{_RENDITION}.take: if at == len(self.frames) - 1: => if at == len(self.frames) + 1:",
        "writer -: _PRUNE_EVERY: Final = 1.0 => _PRUNE_EVERY: Final = 2.0",
        f"{_PRUNE}False:",
        f"{_PRUNE}now + self._pruned_at < _PRUNE_EVERY:",
        f"{_PRUNE}now - self._pruned_at <= _PRUNE_EVERY:",
        f"{_WRITER}._prune: self._pruned_at = now => pass",
        f"{_APPEND}: if others > 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end =>"
        " if others >= 0 then redis.call('HINCRBY', KEYS[1], 'others', others) end",
        f"{_LOOKS}[5] ~= '0' then",
        f"{_LOOKS}[4] ~= '1' then",
        '_generation_id: characters = "".join(_CROCKFORD[(bits >> shift) & 31] for shift in'
        ' range(125, -1, -5)) => characters = "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(125, -2, -5))',
        "common.lua tail: local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1) =>"
        " local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 2)",
    ),
    "one read more, or one entry more of it, with the same outcome": (
        "Logs.visit: pipe.xrange(keys.log(id_), str(cursor), str(cursor), count=1) =>"
        " pipe.xrange(keys.log(id_), str(cursor), str(cursor), )",
        "Logs.visit: pipe.xrange(keys.log(id_), str(cursor), str(cursor), count=1) =>"
        " pipe.xrange(keys.log(id_), str(cursor), str(cursor), count=2)",
        f"{_CATCH_UP}._check: behind = [entry.id for entry in await self._logs.from_(feed.id, last, 2)] != [last] =>"
        " behind = [entry.id for entry in await self._logs.from_(feed.id, last, 3)] != [last]",
        f"{_CATCH_UP}._check: if behind and feed.ring.synced and feed.ring.last == last: =>"
        " if behind and feed.ring.last == last:",
        "catch_up -: _RESYNC_ENTRIES = 1000 => _RESYNC_ENTRIES = 1001",
    ),
    "there is one space in it": (
        'parse_append: prev, _, head = head.partition(b" ") => prev, _, head = head.rpartition(b" ")',
    ),
    "there is one dash in it": (
        'parse_append: first, _, second = head.partition(b"-") => first, _, second = head.rpartition(b"-")',
        'EntryId.of_redis: attempt, _, seq = raw.partition(b"-") => attempt, _, seq = raw.rpartition(b"-")',
    ),
    "a log has no delta before its first block, and none of an attempt before a block of that attempt": (
        f"{_TRANSCRIPT}.__init__: {_OPEN} +1",
        f"{_TRANSCRIPT}.__init__: {_OPEN} -2",
        f"{_TRANSCRIPT}.keep: {_OPEN} -2",
    ),
    "a block that is open is there": (
        f"{_STILL_OPEN} < len(self.blocks) else None => {_STILL_OPEN.partition(': ')[2]} <= len(self.blocks) else None",
    ),
    "a signature belongs to a block of thinking, and what is kept ends with one of text": (
        f"{_TRANSCRIPT}._apply_event: self.blocks[self._open].last = id_ => pass",
    ),
    "whether a digest is for security is asked by builds of Python that forbid SHA-1": (
        "Script.__init__: self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()"
        " => self.sha = hashlib.sha1(self.text.encode(), ).hexdigest()",
        "Script.__init__: self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()"
        " => self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=True).hexdigest()",
    ),
    "JSON has neither bytes nor mappings that are no objects, which is all that this is strict about": (
        f"{_TYPED}, ) {_NO_OTHER_WAY}",
        f"{_TYPED}, strict=False) {_NO_OTHER_WAY}",
    ),
    "a block is kept as it came, whatever the check would have made of the rest of it": (
        _TYPED.replace('=> __pydantic_config__ = ConfigDict(extra="', '=> __pydantic_config__ = ConfigDict(extra="XX')
        + f", strict=True) {_NO_OTHER_WAY}",
    ),
    "every float of ours says it itself": (f"{_FINITE} )", f"{_FINITE} allow_inf_nan=True)"),
    "one is as false as the other": (
        "Connections._make_room: return False => return None",
        "Connections._make_room: return False => return None #2",
    ),
    "no two are of one entry, so the states behind them are not compared": (
        "Borders.note: insort(known, (cursor, state), key=_by_id) => insort(known, (cursor, state), )",
    ),
    "what begins with an unknown state does not begin": (
        f"{_JOIN} and state is not UNKNOWN and position >= self.base: =>"
        f"{_JOIN.partition(':')[2]} and position >= self.base:",
    ),
    "forgotten more often, with the same outcome": (
        f"{_RING}.add: return False => return True",
        f"{_RING}.add: {_JUMPS} + len(entries)): => {_JUMPS} - len(entries)):",
        "Feed.add: if jumped: => if True:",
    ),
    "false either way": (f"{_RING}.add: return False => return None",),
    "one run more in front of the ring": (
        f"{_RING}.forget: while len(self.runs) > 1 and self.runs[1][0] < before: =>"
        " while len(self.runs) > 2 and self.runs[1][0] < before:",
    ),
    "one mark more of a place that has one": (
        f"{_WRITER}.acknowledge: elif last_seq > self.acked: => elif True:",
        f"{_WRITER}.acknowledge: elif last_seq > self.acked: => elif last_seq >= self.acked:",
    ),
    "the newest mark was made just now, so there is always one that is young": (
        f"{_MARKS}[0][0] < now - TAIL_SECONDS:",
    ),
    "one tick of a clock": (
        "coordination_steps -: EXPIRY_SLACK_MS: Final = 1000 => EXPIRY_SLACK_MS: Final = 1001",
        "coordination_steps -: _WAITING_LOOK_MS = 8000 => _WAITING_LOOK_MS = 8001",
        "coordination_steps -: _LONGEST_LOOK_MS = 61_000 => _LONGEST_LOOK_MS = 61001",
        f"{_MARKS} and self._marks[0][0] <= now - TAIL_SECONDS:",
        "claim.lua -: if left > 0 and r[5] == ARGV[2] then return { 'granted', r[6], r[3], int(paid(KEYS[1])) } end => if"
        " left > 1 and r[5] == ARGV[2] then return { 'granted', r[6], r[3], int(paid(KEYS[1])) } end",
        "claim.lua -: if left > 0 then return { 'held', int(left) } end => if left > 1 then return {"
        " 'held', int(left) } end",
        "clock.lua now_ms: return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) => return"
        " tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1001)",
    ),
    "a second guard: a log that has gone is refused by its length before": (
        f"{_APPEND}: redis.call('XADD', KEYS[2], 'NOMKSTREAM', attempt .. '-' .. next_seq, kind, value) =>"
        " redis.call('XADD', KEYS[2], attempt .. '-' .. next_seq, kind, value)",
    ),
    "a flag: whether it is there is looked at, its value never": (
        "sync.lua -: redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) => redis.call('SET', KEYS[1], '0', 'PX', ARGV[1])",
    ),
    "what is only read, or may be done in part and is done again, is done in one step: the replies are the same": tuple(
        f"{function}: {_NOT_WHOLE} => pipe = self.redis.pipeline({told})"
        for function in (
            "Logs.records",
            "Logs.held_by",
            "Logs.visit",
            "Coordination.waiting",
            "Coordination.move",
            "Coordination.ranks",
            "Coordination.list_again",
        )
        for told in ("", "transaction=True")
    ),
    "the same, of the logs' server": tuple(
        f"Agreement.lost: pipe = self._logs.pipeline(transaction=False) => pipe = self._logs.pipeline({told})"
        for told in ("", "transaction=True")
    ),
    "what the parameter is by default": (
        "Coordination.enqueue: pipe = self.redis.pipeline(transaction=True) => pipe = self.redis.pipeline()",
        "Coordination.enqueue_lost: pipe = self.redis.pipeline(transaction=True) => pipe = self.redis.pipeline()",
        "Agreement._identify: pipe = self._logs.pipeline(transaction=True) => pipe = self._logs.pipeline()",
    ),
    "there are as many replies as commands": (
        "Logs.records: found = [_record(id_, SHOWN, values) for id_, values in zip(ids, rows,"
        " strict=True)] => found = [_record(id_, SHOWN, values) for id_, values in zip(ids, rows, )]",
        "Logs.records: found = [_record(id_, SHOWN, values) for id_, values in zip(ids, rows,"
        " strict=True)] => found = [_record(id_, SHOWN, values) for id_, values in zip(ids, rows, strict=False)]",
        f"{_LOOKED}, strict=True)) => {_LOOKED.partition(': ')[2]}, ))",
        f"{_LOOKED}, strict=True)) => {_LOOKED.partition(': ')[2]}, strict=False))",
        f"{_RUN_ALL}, strict=True)] => {_RUN_ALL.partition(': ')[2]}, )]",
        f"{_RUN_ALL}, strict=True)] => {_RUN_ALL.partition(': ')[2]}, strict=False)]",
        f"{_SENT_AGAIN}, strict=True): => {_SENT_AGAIN.partition(': ')[2]}, ):",
        f"{_SENT_AGAIN}, strict=True): => {_SENT_AGAIN.partition(': ')[2]}, strict=False):",
        "Logs.held_by: for id_, (claimant, attempt, ordinal, created, place, owner) in zip(ids, rows,"
        " strict=True) => for id_, (claimant, attempt, ordinal, created, place, owner) in zip(ids, rows, )",
        "Logs.held_by: for id_, (claimant, attempt, ordinal, created, place, owner) in zip(ids, rows,"
        " strict=True) => for id_, (claimant, attempt, ordinal, created, place, owner) in zip(ids, rows, strict=False)",
        "_record: found = {field.encode(): value for field, value in zip(fields, values,"
        " strict=True) if value is not None} => found = {field.encode(): value for field, value in zip(fields,"
        " values, ) if value is not None}",
        "_record: found = {field.encode(): value for field, value in zip(fields, values,"
        " strict=True) if value is not None} => found = {field.encode(): value for field, value in zip(fields,"
        " values, strict=False) if value is not None}",
        "_taken: return Taken(int(left), dict(zip(names, map(float,"
        " rows[1::2]), strict=True))) => return Taken(int(left), dict(zip(names, map(float, rows[1::2]), )))",
        "_taken: return Taken(int(left), dict(zip(names, map(float,"
        " rows[1::2]), strict=True))) => return Taken(int(left), dict(zip(names, map(float, rows[1::2]),"
        " strict=False)))",
        "Coordination.waiting: rows = zip(looks, replies, replies, replies,"
        " strict=True) => rows = zip(looks, replies, replies, replies, )",
        "Coordination.waiting: rows = zip(looks, replies, replies, replies,"
        " strict=True) => rows = zip(looks, replies, replies, replies, strict=False)",
        "Agreement.lost: return [id_ for id_, remembered in zip(ids, known, strict=True) if remembered] =>"
        " return [id_ for id_, remembered in zip(ids, known, ) if remembered]",
        "Agreement.lost: return [id_ for id_, remembered in zip(ids, known, strict=True) if remembered] =>"
        " return [id_ for id_, remembered in zip(ids, known, strict=False) if remembered]",
    ),
    "one trip that is spared where there is nothing to ask": (
        "Logs.records: rows = await pipe.execute() if ids else [] => rows = await pipe.execute()"
        " if (ids) or True else []",
    ),
    "the next command sets the same life": (
        "Agreement._identify: pipe.set(keys.IDENTITY, drawn, nx=True, px=keys.INDEX_MS) =>"
        " pipe.set(keys.IDENTITY, drawn, nx=True, )",
    ),
    "the first sample sets it before it is read": (
        "Cycle.__init__: self._clock = 0 => pass",
        "Cycle.__init__: self._clock = 0 => self._clock = 1",
        "Cycle.__init__: self._due = False => pass",
        "Cycle.__init__: self._due = False => self._due = True",
        "Cycle.__init__: self._begun = False => pass",
        "Cycle.__init__: self._begun = False => self._begun = True",
        "Cycle.see: self._clock = 0 => self._clock = 1",
        "Cycle.see: last, self._since, self._due, self._begun = None, None, False, False =>"
        " last, self._since, self._due, self._begun = None, None, False, True",
    ),
    "it is there: the other half is for the types": (
        'Cycle._ends: self._due = sample.policy == "always" or sample.ms >= (self._since or 0) +'
        ' _EVERY_MS => self._due = sample.policy == "always" or sample.ms >= (self._since) + _EVERY_MS',
        'Cycle._ends: self._due = sample.policy == "always" or sample.ms >= (self._since or 0) +'
        ' _EVERY_MS => self._due = sample.policy == "always" or sample.ms >= (self._since or 1) + _EVERY_MS',
    ),
    "what is written down is what stands there": (
        "lease.lua lease_left: if left <= most then return math.max(0, left) end => if left < most"
        " then return math.max(0, left) end",
    ),
    "before the claim that counts it there is no attempt, and less than none is none": (
        "common.lua seal_at: local chunks = withdrawn and 0 or math.max(0, tonumber(r[4] or '0') + seq - tonumber(r[5] or"
        " '0')) => local chunks = withdrawn and 0 or math.max(0, tonumber(r[4] or '0') + seq - tonumber(r[5] or '1'))",
    ),
    "what is told lives for a minute": (
        "sync.lua -: redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) => redis.call('SET', KEYS[1], '1', 'PX', 60000)",
    ),
    "none are asked for": ("overdue.lua -: if #ids < most then => if #ids <= most then",),
    "eleven jobs of one microsecond": (
        "overdue.lua waits_again: for _, name in ipairs(redis.call('ZRANGE', line_of(owner), place, place,"
        " 'BYSCORE', 'LIMIT', 0, 10)) do => for _, name in ipairs(redis.call('ZRANGE', line_of(owner), place, place,"
        " 'BYSCORE', 'LIMIT', 0, 11)) do",
    ),
    "long ago, by a millisecond or a microsecond more": (
        "lists.lua list_submitted: local newest = tonumber(redis.call('ZRANGE', all, -1, -1, 'WITHSCORES')[2] or '0')"
        " => local newest = tonumber(redis.call('ZRANGE', all, -1, -1, 'WITHSCORES')[2] or '1')",
        "lease.lua lease_left: local left, most = tonumber(lease_until or '0') - now,"
        " tonumber(lease_ms or LONGEST_LEASE_MS) => local left, most = tonumber(lease_until or '1') - now,"
        " tonumber(lease_ms or LONGEST_LEASE_MS)",
    ),
    "a second guard: the log does not end with this attempt's entry then": (
        "ending.lua finish: if r[1] ~= 'running' or r[2] ~= A[2] then return { 'fenced' } end => if r[1]"
        " ~= 'running' and r[2] ~= A[2] then return { 'fenced' } end",
    ),
    "nobody has asked for a pause, so its cap is not looked at": (
        f"{_PRODUCER}._go_on: await asyncio.sleep(pause(max(1, released.spent), None, 0)) =>"
        " await asyncio.sleep(pause(max(1, released.spent), None, 1))",
    ),
    "a line of the log": (f"{_PRODUCER}._conclude: case Left(): => case (Left()) if False:",),
    "it was waited for to the very end, so that there is no time left to go on in": (
        f"{_PRODUCER}._finish: continue => break",
    ),
    "the one tick of a clock at which all is over": (
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
    "it happens once, and then no more is taken": (
        f"{_DISPATCHER}._take: self._put_back += len(taken.jobs) => self._put_back = len(taken.jobs)",
    ),
    "there are as many replies as calls": (
        f"{_SETTLED} for writer, usage, reply in zip(batch, usages, replies, ):",
        f"{_SETTLED} for writer, usage, reply in zip(batch, usages, replies, strict=False):",
    ),
    "what takes no more is left out of the batch": (
        f"{_APPENDER}._take: if writer.unwritten and writer.writable: => if writer.unwritten:",
        f"{_SILENT} if now - writer.flushed_at >= _LOOK_EVERY:",
    ),
    "a second after the machine's start is as long ago": (
        f"{_APPENDER}._refused: writer.renewed_at = 0.0 # not known to have happened: the next call does"
        " => writer.renewed_at = 1.0 # not known to have happened: the next call does",
    ),
    "who is done cannot be cancelled, nor waited for": ("Attempt.run: if not reading.done(): => if True:",),
    "the same sum, found once more": ("Attempt._take: if usage is not self._usage: => if True:",),
    "no block of upstream's has a number below 0, nor has one before the first was opened": (
        "Translator.__init__: self._open = -1 => pass",
        "Translator.__init__: self._open = -1 => self._open = -2",
        "translate.Translator.feed: self._open = -1 => self._open = -2",
    ),
    "no white space was kept from upstream, and none is looked for": (
        "Translator._without_overlap: if self._overlap: => if True:",
    ),
    "it is the default": (
        "Translator._without_overlap: for ours, theirs in zip(self._overlap, text, strict=False): =>"
        " for ours, theirs in zip(self._overlap, text, ):",
    ),
    "no request is without a message": (
        'prefilled: if messages and messages[-1]["role"] == "assistant": => if messages[-1]["role"] == "assistant":',
    ),
    "4.0 and 4.1 both come before 4.5": (
        "takes_prefill: return (int(match[1]), int(match[2] or 0)) <= _LAST_WITH_PREFILL =>"
        " return (int(match[1]), int(match[2] or 1)) <= _LAST_WITH_PREFILL",
    ),
    "the SDK looks at the same two: what is spared is its import": (
        f"{_KEYS_SET} if False:",
        f"{_KEYS_SET} if {_KEY}:",
        f"{_KEYS_SET} if {_TOKEN}:",
        f"{_KEYS_SET} if {_KEY} and {_TOKEN}:",
        f"{_KEYS_SET} if {_KEY.replace('ANTH', 'XXANTH')} or {_TOKEN}:",
        f"{_KEYS_SET} if {_KEY} or {_TOKEN.replace('ANTH', 'XXANTH')}:",
    ),
    "no more connections are kept than there are": (
        "AnthropicUpstream.__init__: pool = httpx2.Limits(max_connections=connections,"
        " max_keepalive_connections=connections) => pool = httpx2.Limits(max_connections=connections, )",
    ),
    "a code that has no words of its own gets those of this one": (
        'anthropic.client._of_sdk: return UpstreamFailure("upstream_error", message_for("upstream_error", None),'
        ' retryable=False) => return UpstreamFailure("upstream_error", message_for("XXupstream_error", None),'
        " retryable=False)",
    ),
    "false as well": ("Lookout._look: return False => return None",),
    "what is asked for together need not be answered together": (
        f"{_DERIVATION}: pipe = self._logs.pipeline(transaction=False) => pipe = self._logs.pipeline()",
        f"{_DERIVATION}: pipe = self._logs.pipeline(transaction=False) => pipe = self._logs.pipeline(transaction=True)",
    ),
    "the next command of the same trip tells how long it lives": (
        f"{_DERIVATION}: pipe.set(keys.PEPPER, secret, nx=True, px=keys.INDEX_MS) => pipe.set(keys.PEPPER, secret, nx=True, )",
    ),
    "less than a day in whole milliseconds is so with their parts": (
        f"{_DERIVATION}: {_CHOOSES} + micros // 1000, fingerprint) => {_CHOOSES} + micros / 1000, fingerprint)",
    ),
    "there are three of each": (
        "choose: for id_, raw in zip(ids, made, strict=True): => for id_, raw in zip(ids, made, ):",
        "choose: for id_, raw in zip(ids, made, strict=True): => for id_, raw in zip(ids, made, strict=False):",
        f"{_UNUSED}, strict=True) if tombstone is None] => {_UNUSED.partition(': ')[2]}, ) if tombstone is None]",
        f"{_UNUSED}, strict=True) if tombstone is None] => {_UNUSED.partition(': ')[2]}, strict=False) if tombstone is None]",
    ),
    "what is told of is that it is there": (
        "Rescan.look: if not await redis.set(keys.RECOVERING, 1, nx=True, px=keys.RECOVERING_MS): => if not"
        " await redis.set(keys.RECOVERING, 2, nx=True, px=keys.RECOVERING_MS):",
    ),
    "how long a wait is at most: no test asserts a time": (
        "service -: _CONFIRM_SECONDS = 6.0 => _CONFIRM_SECONDS = 7.0",
        "arriving -: _VISIT_SECONDS: Final = 6.0 => _VISIT_SECONDS: Final = 7.0",
        "service -: _READY_SECONDS = 3.0 => _READY_SECONDS = 4.0",
    ),
    "each id has its record or None": (
        f"{_GONE}strict=True) if record is None]: => {_GONE_NEW}) if record is None]:",
        f"{_GONE}strict=True) if record is None]: => {_GONE_NEW}strict=False) if record is None]:",
    ),
    "a process's first descriptors are no connections": (
        f"{_ASKED} lent.fileno() > 0:",
        f"{_ASKED} lent.fileno() >= 1:",
    ),
    "whose answer is complete is told that its client left, either way": (f"{_LEAVES} if self._running is not None:",),
    "while the transport takes nothing, nothing is written": ("DirectProtocol._lets_write: if lets: => if True:",),
    "a viewer follows only once it was asked for more, and while the transport takes nothing it is not": (
        f"DirectProtocol._lets_write: {_LOAN} if {_LENT} else None) => {_LOAN} if ({_LENT}) or True else None)",
    ),
    "no range is more specific than the offer's own name": (f"wants: {_BEST} => {_BEST.replace('2', '3')}",),
    "Redis answers for each of those that it is asked for": tuple(
        f"Coordination.without_look: {_NO_LOOK} => {_NO_LOOK.replace('strict=True', told)}"
        for told in ("", "strict=False")
    ),
    "one more row that is read and not given": (
        f"Coordination.listed: {_LISTED_ROWS} => {_LISTED_ROWS.replace('8', '9')}",
    ),
    "nothing that is said has these in it": tuple(
        f"from_validation_error: return _invalid({_ERRORS}include_url=False, include_input=False), in_body=True)"
        f" => return _invalid({_ERRORS}include_url={others}), in_body=True)"
        for others in ("True, include_input=False", "False, ", "False, include_input=True")
    ),
    "a name that only we look up, and by the constant": (
        'origin -: ORIGINS: Final = "respool.origins" => ORIGINS: Final = "XXrespool.origins"',
        'uvicorn_direct -: LEND: Final = "respool.lend" => LEND: Final = "XXrespool.lend"',
        'uvicorn_direct -: CUT: Final = "respool.cut" => CUT: Final = "XXrespool.cut"',
        'fast_path -: FAST_PATH: Final = "respool.fast_path" => FAST_PATH: Final = "XXrespool.fast_path"',
    ),
    "no page's origin either way, and none that an operator may name": (
        'Origins.refusal: origin = value if origin is None else b"null" => origin = value if origin is None else b"XXnull"',
    ),
    "what is written again without need is written as well": (
        f"{_HALF} if True: # only an escape can smuggle in half of a pair",
    ),
    "what is left of the body there is brackets and commas alone": (
        '_check_structure: brackets = structure.translate(None, b",") => brackets = structure.translate(None, b"XX,")',
    ),
    "neither is too deep": (f"{_DEPTH}0) > MAX_DEPTH: => {_DEPTH.partition(': ')[2]}1) > MAX_DEPTH:",),
    "no number of 21 digits fits 64 bits, nor is it too long for Python": (
        f"{'20'.join(_DIGITS)} => {'21'.join(_DIGITS).partition(': ')[2]}",
    ),
    "a coroutine is run by a task: the other half is for the types": (
        f"{_CANCELS} cancels = task.cancelling() if (task is not None) or True else 0",
        f"{_CANCELS} cancels = task.cancelling() if task is not None else 1",
        f"{_SENDS}: if task is not None and task.cancelling() > cancels: => if task.cancelling() > cancels:",
    ),
    "whatever is not `none` asks for a certificate": (
        f"{_ASKS} => {_ASKS.partition(': ')[2].replace('required', 'XXrequired')}",
    ),
    "a reply that is no error has no such word": (
        f"{_UNKNOWN} type(reply) is ResponseError and {_SAYS} => {_UNKNOWN.partition(': ')[2]} {_SAYS}",
    ),
    "what a call begins with is text and numbers": (
        "_bulk: encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words] =>"
        " encoded = [word if (isinstance(word, bytes)) and False else str(word).encode() for word in words]",
    ),
    "an exchange sets it before anything waits": ("Wire.__init__: self._most = 0 => self._most = 1",),
    "who is cancelled has cancelled what it waits for": (
        "Wire.exchange: if not self._answered.done() or self._answered.cancelled(): => if self._answered.cancelled():",
    ),
    "only who has a viewer looks at it, and each viewer gets its own": (
        "Borrowed.give_back: self._socket = None => pass",
    ),
}

EQUIVALENT: Final = {key: reason for reason, keys in _LISTED.items() for key in keys}
