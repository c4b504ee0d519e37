"""The seeded bugs: each is a mistake that somebody could make in a place that matters, and the tests that must notice."""

from tests.proof.mutants.doors import DOORS
from tests.proof.mutants.erasures import ERASURES
from tests.proof.mutants.limiting import LIMITING
from tests.proof.mutants.links import LINKS
from tests.proof.mutants.messages import MESSAGES
from tests.proof.mutants.naming import NAMING
from tests.proof.mutants.payloads import PAYLOADS
from tests.proof.mutants.responses import RESPONSES
from tests.proof.mutants.seeding import Edit as Edit
from tests.proof.mutants.seeding import Mutant as Mutant
from tests.proof.mutants.seeding import mutant as _mutant
from tests.proof.mutants.shared import SHARED
from tests.proof.mutants.sockets import SOCKETS
from tests.proof.mutants.texts import TEXTS
from tests.proof.mutants.ui import UI
from tests.proof.mutants.vocabularies import VOCABULARIES

_LUA = "tests/broker/store/test_lua.py::"
_HUB = "tests/api/viewing/test_hub.py::"
_FEED = "tests/api/viewing/test_feed.py::"
_APPENDER = "tests/worker/log/test_appender.py::"
_TICKS = "tests/api/viewing/test_hub_ticks.py::"
_INDEXES = "tests/broker/store/test_indexes.py::"
_LIVES = "tests/broker/store/test_lifetimes.py::"
_DIRECT = "tests/api/delivery/test_uvicorn_direct.py::"
_ARCHIVE = "tests/broker/store/test_archive_steps.py::"
_ARCHIVER = "tests/worker/test_archiver.py::"
_ARCHIVED = "tests/system/test_archive.py::"
_DELIVERER = "tests/worker/webhooks/test_deliverer.py::"
_POSTING = "tests/worker/webhooks/test_posting.py::"
_PACE = "tests/worker/log/test_pace.py::"
_CELLS = "tests/api/routes/test_cells.py::"
_BATCH = "tests/api/routes/test_batch.py::"
_STARTING = "tests/broker/store/test_starting.py::"
_TENANTS = "tests/broker/store/test_tenants.py::"
_TWO_TENANTS = "tests/api/routes/test_tenants.py::"
_ALLOWED = "tests/broker/test_allowed.py::"
_USERS = "tests/worker/generating/test_users.py::"
_WAIT = "tests/api/routes/test_wait.py::"
_ROUNDS = "tests/worker/generating/test_rounds.py::"
_TOOLBOX = "tests/worker/generating/test_toolbox.py::"
_POOL = "tests/broker/store/test_pool.py::"
_OPENAI = "tests/worker/upstreams/openai/"
_WATCHING = "tests/broker/store/test_abandon_steps.py::"
_CHUNKS = "tests/api/dialects/test_chunks.py::"
MODEL = "tests/broker/store/test_model.py::test_whatever_happens_in_whatever_order_the_scripts_do_as_the_model"


_CHAT = "tests/api/dialects/test_chat.py::"
_PRICES = "tests/worker/test_prices.py::"
_FIGURES = "tests/broker/store/test_figures.py::"
_CACHING = "tests/worker/upstreams/anthropic/test_caching.py::"
_CHAT_FORM = "tests/system/test_chat.py::"
_SUBMIT = (
    "accepted = await self.coordination.submit(\n"
    "                    id_, idempotency_key, fingerprint, self.pickup_ms, tags, owner, self.most_waiting, demand\n"
    "                )"
)
_CREATE = """created = await self.logs.create(
                    id_, *stored, made_for, owner, request.origin, grace, hook, tags, schedule, wrapped,
                    charged=demand.limits.charged,
                )"""
_LOST = "tests/system/test_coordination_lost.py::"

MUTANTS: tuple[Mutant, ...] = (
    # -- the fence, and ids that never change
    Mutant(
        "no fence",
        (
            Edit("append.lua", "if r[1] ~= attempt or not r[2] then", "if not r[3] then"),
            Edit("append.lua", "attempt .. '-' .. next_seq, kind", "r[1] .. '-' .. next_seq, kind"),
        ),
        (_LUA + "test_a_paused_worker_cannot_append_after_its_successor_has_claimed", MODEL),
    ),
    _mutant(
        "XADD *", "append.lua", "attempt .. '-' .. next_seq, kind", "'*', kind",
        _LUA + "test_an_append_writes_all_entries_and_publishes_them_once",
        "tests/system/test_main_path.py::test_a_generation_streams_from_beginning_to_end",
    ),
    _mutant(
        "a retry under a new seq", "append.lua",
        "local skip = last + 1 - first", "local skip = math.min(0, last + 1 - first)",
        _LUA + "test_an_append_repeated_or_overlapping_writes_nothing_twice", MODEL,
    ),
    _mutant(
        "a lost tail is not missed", "append.lua",
        "if skip < 0 then return { -2, last } end", "if skip < 0 then skip = 0 end",
        _APPENDER + "test_a_tail_that_the_server_has_lost_is_there_again_under_its_ids", MODEL,
    ),
    _mutant(
        "a lost tail is not written again", "Writer.acknowledge",
        "self._rewind(last_seq)", "self.flushed_at = now",
        "tests/worker/log/test_writer.py::TestWriting",
        "tests/worker/log/test_writer.py::test_a_tail_that_redis_lost_is_written_again_under_its_ids",
    ),
    Mutant(
        "an end over what is not written",
        (
            Edit("Producer._finish", "elif not written:", "elif False:"),
            Edit("Producer._finish", "writer.next_seq, told", "writer.acked + 1, ending"),
        ),
        ("tests/worker/generating/test_producer.py", "tests/worker/generating/test_producing.py"),
    ),
    _mutant(
        "completed without its tail if Redis is full", "Producer._finish",
        "ending = without_tail(ending, writer.unwritable)", "",
        "tests/worker/generating/test_producer.py",
    ),
    _mutant(
        "a full disk is a refusal", "REFUSED",
        '- {"unreachable", "silent"}', '- {"unreachable", "silent", "MISCONF"}',
        "tests/broker/test_refusals.py",
    ),
    _mutant(
        "a lease that was given back is renewed", "append.lua", "or not r[2] then", "then",
        _LUA + "test_a_released_attempt_cannot_renew_its_lease", MODEL,
    ),
    _mutant(
        "an attempt's name is the clock", "common.lua", "math.max(now, last_attempt + 1)", "now",
        _LUA + "test_attempts_rise_even_where_the_clock_does_not",
    ),
    _mutant(
        "every attempt counts", "attempts.lua", "handed_over or chunks > tonumber(r[4] or '0')", "handed_over",
        _LUA + "test_an_attempt_that_got_further_than_any_before_it_is_free",
    ),
    _mutant(
        "an attempt that gets anywhere is free", "attempts.lua", "handed_over or chunks > tonumber(r[4] or '0')",
        "handed_over or own > 0", _LUA + "test_an_attempt_that_got_further_than_any_before_it_is_free", MODEL,
    ),
    _mutant(
        "an attempt is counted twice", "release.lua", "if not r[3] then return { 'released', tonumber(r[4]) } end", "",
        _LUA + "test_an_attempt_is_counted_once_however_often_it_is_found_over", MODEL,
    ),
    _mutant(
        "attempts without end", "claim.lua", "elseif ordinal >= tonumber(ARGV[11]) then", "elseif false then",
        _LUA + "test_attempts_in_all_are_bounded_however_far_they_get",
    ),
    _mutant(
        "recovering without a revoke", "attempts.lua", "redis.call('HDEL', record, 'lease_until', 'claimant')",
        "redis.call('HDEL', record, 'claimant')",
        _LUA + "test_a_worker_that_was_only_paused_writes_nothing_behind_recovering", MODEL,
    ),
    _mutant(
        "recovering under the dead attempt", "revoke.lua", "int(new_attempt(now, attempt)) .. '-0'",
        "int(attempt) .. '-' .. int(seq + 1)",
        _LUA + "test_viewers_are_told_of_a_dead_worker_when_its_lease_is_taken", MODEL,
    ),
    _mutant(
        "withdraw leaves the page cache", "Hub._before_the_end", "self.pages.forget(feed.id)", "pass",
        _HUB + "test_what_is_withdrawn_is_shown_to_nobody_any_more",
    ),
    _mutant(
        "a page that nobody watches outlives a withdrawal", "arriving.arrive", "hub.pages.forget(id_)", "pass",
        "tests/system/test_guardrails.py::test_a_page_that_is_kept_of_what_nobody_watches_is_not_given_again",
    ),
    _mutant(
        "withdraw leaves the log", "common.lua", "redis.call('XTRIM', K[2], 'MAXLEN', '=', '0')", "",
        _LUA + "test_what_is_blocked_is_replaced_by_its_withdrawal_in_the_step_that_ends_it",
    ),
    _mutant(
        "a check's exception passes", "Guard._failed", "return verdict(\"The check failed.\", \"check_failed\")", "return None",
        "tests/worker/guardrails/test_guard.py::test_a_check_that_fails_comes_to_what_its_setting_says",
    ),
    _mutant(
        "an end written before its check", "Producer._once", "outcome = await judged(guard, writer, outcome, attempt.latest)",
        "pass", "tests/system/test_guardrails.py::test_the_end_is_told_when_the_check_has_passed_and_not_before",
    ),
    _mutant(
        "what no worker can check stays", "common.lua", "if r[12] == '1' and r[2]", "if false and r[2]",
        _LUA + "test_what_no_worker_is_left_to_check_is_withdrawn",
    ),
    _mutant(
        "a claim by an old plan", "claim.lua",
        "if prev ~= ARGV[7] then return { 'moved' } end", "",
        _LUA + "test_a_claim_planned_from_an_older_log_is_refused", MODEL,
    ),
    _mutant(
        "two claims at a time", "claim.lua",
        "if left > 0 then return { 'held', int(left) } end", "",
        _LUA + "test_a_claim_repeated_because_its_reply_was_lost_is_granted_again", MODEL,
    ),
    # -- one end
    _mutant(
        "no terminal guard in claim", "claim.lua",
        "if TERMINAL[state] then return { 'ended', state } end", "",
        _LUA + "test_a_cancel_of_what_nobody_runs_ends_it_at_once", MODEL,
    ),
    _mutant(
        "no terminal guard in cancel", "cancel.lua",
        "if TERMINAL[r[1]] then return { 'ended', r[1] } end", "",
        _LUA + "test_a_cancel_after_the_end_or_of_nothing_says_so", MODEL,
    ),
    _mutant(
        "the end takes the attempt's next seq", "common.lua",
        "int(new_attempt(now, attempt)) .. '-0'", "int(attempt) .. '-' .. int(seq + 1)",
        _LUA + "test_an_end_written_again_after_it_was_lost_has_another_id", MODEL,
    ),
    _mutant(
        "an end before the tail is back", "ending.lua",
        "if withdraw == '' and last + 1 < seq then return { 'behind', int(last) } end", "",
        _LUA + "test_a_finish_behind_a_lost_tail_is_refused_until_the_tail_is_back", MODEL,
    ),
    _mutant(
        "the terminal is trusted from a clean EOF", "Attempt._read",
        'return Interrupted("upstream_truncated", "The upstream\'s answer ended without its end.")',
        'return Ending("completed", stop_reason="end_turn")',
        "tests/worker/generating/test_attempt.py::"
        "test_an_answer_that_ends_without_its_end_is_never_complete_however_much_has_come",
        "tests/system/test_upstream_failures.py::"
        "test_an_answer_that_breaks_off_is_continued_to_the_very_same_text[eof]",
    ),
    _mutant(
        "a cut looks like an end", "Viewer._next", 'self.done = "cut"', 'self.done = "end"',
        _FEED + "test_a_viewer_that_is_dropped_hears_why_and_does_not_look_finished",
    ),
    _mutant(
        "a strict end is shown before it is safe", "StrictEnds.holds",
        "return entry.kind == END and _STRICT in entry.value and (id_, entry.id) not in self._safe", "return False",
        _HUB + "test_a_strictly_durable_end_is_shown_to_nobody_before_redis_has_it_safe",
    ),
    _mutant(
        "a strict end is read before it is safe", "Pages._read",
        "if entries and self._strict_ends.holds(id_, entries[-1]):", "if False:",
        _HUB + "test_a_strictly_durable_end_is_shown_to_nobody_before_redis_has_it_safe",
    ),
    _mutant(
        "a strict end is safe when WAITAOF says so", "Disk._complete", "if cycle.see(sample):", "if True:",
        "tests/proof/crash/test_strict.py::test_no_strict_end_that_was_shown_is_taken_back_by_a_crash[quick]",
    ),
    _mutant(
        "a page shows the end that was read before the wait", "Pages._read",
        "                return await self._read(key, state)\n            entries.pop()",
        "            else:\n                entries.pop()",
        _HUB + "test_an_end_that_redis_loses_while_it_is_held_back_is_never_shown",
    ),
    _mutant(
        "a fsync that was under way counts", "Cycle.see", "free = not sample.syncing or", "free = True or",
        "tests/broker/store/test_fsyncs.py::test_an_fsync_that_was_under_way_may_not_have_it",
    ),
    Mutant(
        "a finish that does not wait for the tail to be back",
        (
            Edit("Producer._finish", "written = await writer.flushed(give_up - clock())", "written = True"),
            Edit("Producer._finish", "writer.attempt, writer.next_seq, told", "writer.attempt, writer.acked + 1, ending"),
        ),
        ("tests/worker/generating/test_producer.py",),
    ),
    # -- cancels
    _mutant(
        "a claim does not look for a cancel", "claim.lua", "if r[8] then", "if false then",
        _LUA + "test_a_claim_after_a_cancel_ends_the_generation", MODEL,
    ),
    _mutant(
        "an append does not look for a cancel", "append.lua",
        "if r[5] then return { seq, 1 } end", "",
        _APPENDER + "test_a_silent_attempt_finds_out_that_it_was_cancelled_or_has_lost_its_claim",
    ),
    _mutant(
        "a cancel is told and not noted", "cancel.lua", "redis.call('HSETNX', KEYS[1], 'cancel', 'requested')", "",
        _LIVES + "test_a_cancel_is_not_forgotten_before_the_generation_is",
    ),
    # -- time
    _mutant(
        "a record is made anew after it expired", "creating.lua",
        "if tombstone then return 'expired' end", "",
        _LUA + "test_create_does_not_bring_back_what_has_expired",
    ),
    Mutant(
        "a log is made anew after it expired",
        (
            Edit("append.lua", "'NOMKSTREAM',", ""),
            Edit("append.lua", "if last < 0 then return { -1 } end", "last = math.max(last, 0)"),
        ),
        (_LUA + "test_an_append_does_not_make_a_log_anew",),
    ),
    _mutant(
        "a silent attempt does not renew its lease", "Appender._call",
        "if now - writer.renewed_at >=", "if contents and now - writer.renewed_at >=",
        _APPENDER + "test_an_attempt_whose_upstream_is_silent_keeps_its_lease",
    ),
    _mutant(
        "an end leaves its cancel behind", "common.lua", "'claimant', 'cancel')", "'claimant')",
        _LUA + "test_a_cancel_of_what_runs_tells_the_workers", MODEL,
    ),
    _mutant(
        "what no worker has is not queued again", "Sweeper._see_to_jobs",
        "if id_ not in waiting}:", "if False}:",
        "tests/system/faults/test_submits.py::test_a_record_that_was_never_queued_runs",
    ),
    _mutant(
        "a fresh end is filed for good", "coordination_steps.file", "stood = look.ended_ms >= DOUBT_MS", "stood = True",
        "tests/broker/store/test_coordination.py::test_an_end_that_redis_takes_back_while_it_is_filed_is_looked_at_again_soon",
    ),
    _mutant(
        "an end is filed that was not made", "conclude.lua", "if not ended[3] then return ended end",
        "if ended[1] == 'behind' then ended = { 'ended', ARGV[5], 1, now, 1 } end",
        _INDEXES + "test_what_does_not_end_is_not_filed",
    ),
    _mutant(
        "what ended on one server is due for ever", "conclude.lua", "redis.call('ZREM', due, id)", "",
        _INDEXES + "test_on_one_server_an_end_is_filed_in_the_step_that_makes_it",
    ),
    _mutant(
        "what expires on one server is on its lists for ever", "conclude.lua",
        "redis.call('ZADD', expiring, int(now + ended[5] + tonumber(slack_ms)), id)", "",
        _INDEXES + "test_on_one_server_an_end_is_filed_in_the_step_that_makes_it",
    ),
    _mutant(
        "a batch of ends leaves their jobs", "file.lua", "redis.call('DEL', unpack(jobs))", "",
        "tests/broker/store/test_coordination.py::test_ends_are_filed_many_at_a_time_each_under_its_own_state",
    ),
    _mutant(
        "ends are filed one by one", "InBatches._batch", "self._ended.items(), _BATCH", "self._ended.items(), 1",
        _INDEXES + "test_on_two_servers_ends_are_filed_a_hundred_at_a_time_and_soon",
    ),
    _mutant(
        "what had ended before is not filed", "Together.finish",
        'if finished.why == "ended" and finished.look is None:', "if False:",
        _INDEXES + "test_an_end_that_is_asked_for_again_or_was_made_by_a_cancel_is_filed_all_the_same",
    ),
    _mutant(
        "what was taken is listed as queued", "take.lua",
        "redis.call('ZREM', list_of(owner, 'index:queued'), unpack(ids))", "",
        "tests/broker/store/test_coordination.py::"
        "test_what_is_taken_is_listed_as_running_in_its_place_and_as_queued_again_if_it_is_put_back",
    ),
    _mutant(
        "what a tenant's job is taken for is nobody's", "take.lua", "local function run(owner, jobs)",
        "local function run(owner, jobs) owner = ''",
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "what is put back is nobody's", "put_back.lua", "local queued = list_of(owner, 'index:queued')",
        "local queued = list_of('', 'index:queued')",
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "ends are filed as nobody's", "log_steps._finished", "owner=whose", 'owner=""',
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "a sweeper files as nobody's", "log_steps._looked", "owner.decode()", '""',
        _TENANTS + "test_what_a_sweeper_finds_lost_or_ended_stays_its_tenants",
    ),
    _mutant(
        "nobody notes whose it is", "lists.lua", "redis.call('HSET', tenants, id, owner)", "",
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "a tenant reads what is nobody's", "Coordination.listed", "keys.index(index, owner)", "keys.index(index)",
        _TENANTS + "test_a_list_has_its_tenants_alone_whatever_the_cursor",
    ),
    _mutant(
        "a tenant's labels are everybody's", "coordination_steps.tagging", "keys.tag(digest, owner)", "keys.tag(digest)",
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "what has ended runs for ever", "conclude.lua", "redis.call('ZREM', all_running, id)", "",
        _TENANTS + "test_a_generation_is_on_its_tenants_lists_from_its_submit_to_its_expiry_and_on_no_others",
    ),
    _mutant(
        "what a list says of a tenant is believed", "Service.list", "who.may_see(record.owner, record.id)", "True",
        _TWO_TENANTS + "test_a_list_that_has_what_is_anothers_is_not_believed",
    ),
    _mutant(
        "a tenant may ask for anything", "Submissions._accept",
        "refuse_unless_allowed(request, self.tenants.of(owner))", "self.tenants.of(owner)",
        _TWO_TENANTS + "test_a_model_that_is_not_on_a_tenants_list_is_refused_whichever_way_it_asks",
    ),
    _mutant(
        "a tenant falls back on any model", "allowed._models", 'yield f"/fallback/{at}", model', "pass",
        _ALLOWED + "test_each_model_and_each_tool_that_others_run_must_be_on_the_lists",
    ),
    _mutant(
        "a tenant has any tool of the upstream's", "allowed._tools", 'not in (None, "custom"):', "is True:",
        _ALLOWED + "test_each_model_and_each_tool_that_others_run_must_be_on_the_lists",
    ),
    _mutant(
        "upstreams are told who asks", "users.upstream_body", '{"user_id": name}', '{"user_id": user}',
        _USERS + "test_whoever_it_is_no_upstream_gets_the_name_as_it_came",
    ),
    _mutant(
        "without a secret upstreams are told who asks", "users.upstream_body", "if owner and given:", "if False:",
        _USERS + "test_without_a_secret_a_tenants_users_are_not_told_of",
    ),
    _mutant(
        "users of two tenants have one name", "Keyed.user", '"user", owner, user', '"user", user',
        "tests/broker/test_keyed.py::test_a_user_has_one_name_for_each_tenant_and_secret",
    ),
    _mutant(
        "a body is kept as anybody can guess it", "Keyed.fingerprint", '",".join([*made, digest])', "digest",
        _TWO_TENANTS
        + "test_one_key_of_two_tenants_names_two_generations_and_its_body_is_kept_as_nobody_can_guess_it",
    ),
    _mutant(
        "bodies of before the secret are unknown", "submit.lua", "not same(fingerprint, ARGV[2])",
        "fingerprint ~= kept(ARGV[2])",
        _TWO_TENANTS + "test_what_was_kept_before_the_secret_was_set_is_known_again",
    ),
    _mutant(
        "where a tenant's key is missing another is taken", "opening.open_upstreams", "if own and key is None:", "if False:",
        "tests/worker/upstreams/test_tenants.py::test_a_key_that_is_missing_fails_the_call_and_no_other_key_is_taken",
    ),
    _mutant(
        "a tenant's key is left aside", "Producer._once", "self._upstream_of(the_plan.record.owner)", "self._upstream",
        "tests/worker/generating/test_producing.py::test_a_generation_is_made_with_what_its_tenants_are_made_with",
    ),
    _mutant(
        "what nobody began stays listed as running", "Coordination.enqueue_lost", 'if look.state == "queued":', "if False:",
        "tests/broker/store/test_coordination.py::"
        "test_what_was_taken_and_never_begun_is_listed_as_queued_when_its_job_is_queued_again",
    ),
    _mutant(
        "a job that came to nothing stays locked", "Dispatcher.run_job", "if not cleared:", "if False:",
        "tests/worker/test_dispatch_steps.py::"
        "test_a_job_is_run_by_its_name_and_cleared_away_unless_its_end_has_done_so",
    ),
    _mutant(
        "a lease is believed whatever it says", "lease.lua", "if left <= most then", "if true then",
        _LUA + "test_no_lease_is_believed_to_last_longer_than_it_was_granted_for",
        "tests/system/faults/test_clocks.py::test_a_worker_that_was_dead_when_the_clock_jumped_back_is_replaced",
    ),
    _mutant(
        "what was due before the clock jumped back waits", "overdue.lua", "if #ids < most then", "if false then",
        _LUA + "test_what_is_due_beyond_any_look_was_so_before_the_clock_jumped_back",
        "tests/system/faults/test_clocks.py::test_a_worker_that_was_dead_when_the_clock_jumped_back_is_replaced",
    ),
    _mutant(
        "what waits is looked at again and again", "overdue.lua",
        "local waits = place or waits_again(id, owner)", "local waits = false",
        _LUA + "test_what_waits_in_the_queue_is_looked_at_by_nobody_unless_its_job_is_lost",
    ),
    _mutant(
        "ten thousand that wait are looked at as often as one", "overdue.lua",
        "depth() * ARGV[4]", "0",
        "tests/broker/store/test_coordination.py::"
        "test_the_more_wait_the_later_each_is_looked_at_but_never_later_than_in_a_minute",
    ),
    _mutant(
        "what waits is looked at beyond any look", "overdue.lua", "math.min(turn, ARGV[5] - 1000)", "turn",
        "tests/broker/store/test_coordination.py::"
        "test_the_more_wait_the_later_each_is_looked_at_but_never_later_than_in_a_minute",
    ),
    _mutant(
        "a lost job is taken for one that waits", "overdue.lua",
        "local waits = place or waits_again(id, owner)", "local waits = true",
        _LUA + "test_what_waits_in_the_queue_is_looked_at_by_nobody_unless_its_job_is_lost",
    ),
    # -- turns of tenants
    _mutant(
        "who comes anew has credit for having been away", "turns.lua",
        "return tonumber(first[2] or redis.call('GET', LEVEL) or '0')", "return 0",
        "tests/broker/store/test_turns.py::test_who_comes_anew_takes_turns_with_who_was_alone",
    ),
    _mutant(
        "what a tenant has had is forgotten", "take.lua",
        "redis.call('ZADD', list, exact(tag + count / weight), owner)",
        "redis.call('ZADD', list, exact(tag), owner)",
        "tests/broker/store/test_turns.py",
    ),
    _mutant(
        "one tenant after the other", "take.lua", "math.min(wanted, turns == whole", "math.max(wanted, turns == whole",
        "tests/broker/store/test_turns.py",
    ),
    _mutant(
        "a slot more than it may have", "take.lua", "most - slots_of(owner)", "most + 1 - slots_of(owner)",
        "tests/broker/store/test_turns.py",
    ),
    _mutant(
        "who has all its slots is out for good", "turns.lua", "if not tag then return end", "if tag then return end",
        "tests/broker/store/test_turns.py",
    ),
    _mutant(
        "the background takes turns", "take.lua", "while list == TURNS and #jobs > 0", "while list == '' and #jobs > 0",
        "tests/broker/store/test_turns.py",
    ),
    _mutant(
        "one more waits than may", "turns.lua", "'+inf') >= tonumber(most)", "'+inf') > tonumber(most)",
        "tests/broker/store/test_queue_limit.py",
    ),
    _mutant(
        "who are few are not counted, however few may be", "turns.lua", "+ 10000 >= tonumber(most)", ">= tonumber(most)",
        "tests/broker/store/test_queue_limit.py",
    ),
    _mutant(
        "the list of all dies where the clock jumped back", "lists.lua", "if newest > us or math.floor", "if math.floor",
        "tests/broker/store/test_lifetimes.py",
    ),
    _mutant(
        "a submit in two steps takes no place", "submit.lua", "will_come(id, now, tonumber(ARGV[10]))", "",
        "tests/broker/store/test_queue_limit.py",
    ),
    _mutant(
        "a repeated submit is refused", "submit.lua", "and not redis.call('ZSCORE', KEYS[2], id) then", "then",
        "tests/broker/store/test_queue_limit.py",
    ),
    _mutant(
        "what has begun waits behind what has not", "lists.lua", "place = place - BEGUN", "place = place + 0",
        _LUA + "test_jobs_are_taken_in_the_order_of_their_submits_however_late_they_were_queued",
        "tests/broker/store/test_coordination.py::test_a_lost_job_is_queued_again_where_arq_would_take_it",
    ),
    _mutant(
        "what was interrupted goes to the end", "enqueue.lua",
        "submitted_us and tonumber(submitted_us) / 1000 or tonumber(ARGV[5]) or now_ms()", "now_ms()",
        _LUA + "test_jobs_are_taken_in_the_order_of_their_submits_however_late_they_were_queued",
    ),
    _mutant(
        "the order of submits follows the clock", "lists.lua",
        "math.max(us, newest + 1)", "us",
        _LUA + "test_the_order_of_submits_stands_when_the_clock_jumps_back",
    ),
    _mutant(
        "a freed slot waits for the bell", "Dispatcher.listen",
        "left = max(left, 1)", "left = 0",
        "tests/system/faults/test_places.py::test_what_waited_longer_than_wake_ups_live_is_taken_as_soon_as_a_slot_is_free",
    ),
    _mutant(
        "a burst is started all at once", "Dispatcher.free",
        "min(self.max_jobs - self.job_counter, _MOST_STARTING - len(self._starting))", "self.max_jobs - self.job_counter",
        "tests/worker/test_dispatch_steps.py::test_of_a_burst_it_takes_no_more_than_it_can_start_at_a_time",
    ),
    _mutant(
        "who came last has the next connection", "Pool.release", "self._line.popleft()", "self._line.pop()",
        _POOL + "test_who_waits_is_served_in_order_and_nobody_who_comes_later_is_served_before",
    ),
    _mutant(
        "a full pool is taken for a Redis that is away", "Pool._none_free", "if self._answered_at >= since:", "if False:",
        _POOL + "test_a_full_pool_that_serves_others_is_crowded_and_one_whose_connections_do_not_come_back_is_away",
    ),
    _mutant(
        "a connection is lost with who was cancelled as it came", "Pool._turn",
        "await self.release(turn.result())", "pass",
        _POOL + "test_a_turn_that_comes_just_when_its_waiter_is_cancelled_goes_to_the_next",
        _POOL + "test_no_connection_is_ever_lost_or_given_to_two",
    ),
    _mutant(
        "what a worker took is not looked after", "take.lua",
        "redis.call('ZADD', KEYS[2], unpack(looks))", "",
        _LUA + "test_a_job_that_was_taken_is_locked_and_looked_after",
    ),
    _mutant(
        "no retention on what failed", "common.lua", "redis.call('PEXPIRE', K[1], r[6])",
        "if final.state ~= 'failed' then redis.call('PEXPIRE', K[1], r[6]) end",
        _LIVES + "test_however_it_ended_it_is_kept_for_the_retention_and_remembered_a_day_longer",
    ),
    _mutant(
        "an old attempt's end takes the new one's writer away", "Appender.remove",
        "if self._writers.get(writer.id) is writer:", "if writer.id in self._writers:",
        _APPENDER + "test_an_old_attempts_end_leaves_its_successors_writer_alone",
    ),
    _mutant(
        "usage that came during a flush is taken for written", "Appender._take",
        "writer.usage_written = usage", "writer.usage_written = writer.usage",
        _APPENDER + "test_usage_that_came_while_a_flush_was_under_way_is_written_by_the_next",
    ),
    _mutant(
        "the first token waits for company", "_Way.hold", "not writer.paced or ", "",
        _PACE + "test_nothing_up_to_the_first_token_waits",
    ),
    _mutant(
        "an end waits for company", "Writer.flushed", "self.on_due(self)", "pass",
        _PACE + "test_an_end_waits_for_nothing_and_nor_does_what_follows_it",
    ),
    _mutant(
        "what waits for company is forgotten", "_Way._let_all_go", "self.dirty |= self.held", "pass",
        _PACE + "test_no_entry_is_lost_or_out_of_order_whatever_the_pace",
        _PACE + "test_tokens_that_follow_within_the_pace_share_an_append_and_none_waits_longer",
    ),
    _mutant(
        "a silent upstream is looked at no more often than the pace", "Appender._tick_forever",
        "writer.on_due(writer)", "writer.on_put(writer)",
        _PACE + "test_a_lease_and_a_cancel_are_looked_at_as_often_as_without_a_pace",
    ),
    # -- submitting
    Mutant(
        "the idempotency key is written after the record",
        (
            Edit("Submissions._accept", _SUBMIT, "pass"),
            Edit("Submissions._accept", "allowance = accepted.allowance", "pass"),
            Edit("Submissions._accept", "if accepted.id != id_:", "if False:"),
            Edit("Submissions._accept", _CREATE, f"{_CREATE}; {_SUBMIT}; id_ = accepted.id"),
        ),
        ("tests/broker/store/test_accepting.py",),
    ),
    # -- a cluster's servers, each for itself
    _mutant(
        "no answer to sunsubscribe", "Subscription._left", "self.subscribe_anew([channel])", "pass",
        "tests/api/viewing/test_subscription.py"
        "::test_a_channel_that_the_server_takes_away_is_lost_and_asked_for_again_and_one_that_was_left_is_not",
    ),
    _mutant(
        "a slot on its way is a refusal", "Away", '"CLUSTERDOWN", "TRYAGAIN",', '"CLUSTERDOWN",',
        "tests/broker/test_refusals.py", "tests/broker/store/test_client.py",
    ),
    _mutant(
        "one lane for all", "ClusterLanes.of", "place = self._topology.of(slot)", "place = self._topology.of(0)",
        "tests/broker/store/test_cluster.py"
        "::test_a_lane_to_a_server_that_has_no_slots_any_more_is_closed_and_what_is_sent_over_it_waits",
    ),
    _mutant(
        "a moved slot's command goes where it was", "_elsewhere", '"MOVED", "ASK"', '"ASK"',
        "tests/broker/store/test_cluster.py::test_the_steps_of_a_generation_are_made_where_it_is_while_its_slot_moves",
    ),
    _mutant(
        "a server that has left is asked for ever", "ClusterRedis.servers", "await self._refresh()", "pass",
        "tests/broker/store/test_cluster.py::test_the_servers_of_a_cluster_are_those_that_there_are_now",
    ),
    _mutant(
        "any server says that an end is safe", "Logs.at",
        "self.redis.server_of(keys.record(id_))", "self.redis.server_of(keys.record('another'))",
        "tests/broker/store/test_cluster.py::test_an_end_is_confirmed_by_the_server_that_has_it_and_by_no_other",
    ),
    _mutant(
        "no recovery look", "Submissions._accept", "self.watch(id_)", "pass",
        _LOST + "test_what_was_accepted_is_looked_at_once_more_where_there_are_two_servers",
    ),
    _mutant(
        "what a look finds lost stays so", "put_back", "await coordination.list_again(lost, tags)", "",
        _LOST + "test_what_coordination_has_lost_is_put_back_in_its_old_place_and_nothing_else_is",
    ),
    _mutant(
        "what was put back is not looked at again", "Lookout._look", "for id_ in lost:", "for id_ in ():",
        "tests/api/intake/test_lookout.py::test_what_was_put_back_is_looked_at_again_for_that_may_be_lost_too",
    ),
    _mutant(
        "what waits without a place goes on waiting", "Hub._tell_waits", "self._placeless(feed.id)", "pass",
        _TICKS + "test_what_waits_without_a_place_is_told_of_every_second_until_it_begins_or_has_one",
    ),
    _mutant(
        "coordination starts anew unnoticed", "Rescan.look", "found = await self._search()", "found = 0",
        _LOST + "test_after_coordination_has_started_anew_one_worker_finds_what_it_has_lost",
    ),
    _mutant(
        "a key that coordination has forgotten takes any body", "choose",
        "if not tombstone.erased and not same(tombstone.made_for, fingerprint):", "if False:",
        _LOST + "test_a_key_that_coordination_has_forgotten_is_refused_to_another_body",
    ),
    _mutant(
        "a record takes any body", "creating.lua",
        "if made_for and not same(made_for, A[3]) then return 'mismatch' end", "",
        _LOST + "test_of_two_bodies_that_came_at_once_the_one_that_made_the_record_has_the_key",
    ),
    _mutant(
        "the claim forgets what a key asked for", "claim.lua",
        "redis.call('PEXPIRE', KEYS[3], int(", "redis.call('SET', KEYS[3], '1', 'PX', int(",
        _LOST + "test_what_is_remembered_of_a_key_outlives_the_claim_and_the_end",
    ),
    _mutant(
        "an idempotency key takes any body", "submit.lua",
        "if not same(fingerprint, ARGV[2]) then return { 'mismatch', known } end", "",
        _LUA + "test_one_idempotency_key_is_one_generation", MODEL,
    ),
    _mutant(
        "a repeated submit is not looked after", "submit.lua",
        "redis.call('ZADD', KEYS[1], 'NX'", "local _ = verdict == 'accepted' and redis.call('ZADD', KEYS[1], 'NX'",
        "tests/broker/store/test_accepting.py::test_a_submit_repeated_after_the_sweeper_gave_it_up_is_looked_after_again",
    ),
    _mutant(
        "a submit in one step is not looked after", "accept.lua",
        "redis.call('ZADD', KEYS[3], int(now + tonumber(first_ms)), id)", "",
        "tests/broker/store/test_accepting.py::test_a_submit_in_one_step_leaves_what_one_in_three_steps_leaves",
    ),
    _mutant(
        "a submit in one step that is repeated rings again", "accept.lua",
        "if verdict ~= 'created' then return { verdict } end", "",
        "tests/broker/store/test_accepting.py::test_a_submit_in_one_step_whose_reply_was_lost_is_repeated_without_a_trace",
    ),
    _mutant(
        "a late submit is not looked after", "enqueue.lua", "redis.call('ZADD', KEYS[3], 'NX', 0, ARGV[1])", "",
        "tests/broker/store/test_accepting.py::test_an_api_that_slept_until_the_sweeper_gave_up_is_looked_after_all_the_same",
    ),
    _mutant(
        "an idempotency key is forgotten after a minute", "submit.lua", "'PX', ARGV[3])", "'PX', 60000)",
        _LIVES + "test_an_idempotency_key_is_known_for_a_day",
    ),
    # -- two logs servers
    _mutant(
        "what is not on our logs server is nowhere", "Agreement.lost", "if not heard.elsewhere:", "if True:",
        "tests/broker/store/test_agreement.py::test_a_generation_is_lost_unless_an_api_may_have_made_it_elsewhere",
    ),
    _mutant(
        "a process that stopped long ago still counts", "announce.lua",
        "int(now - live_ms), int(now), 'BYSCORE'", "'-inf', '+inf', 'BYSCORE'",
        "tests/broker/store/test_agreement.py::test_a_process_that_has_not_announced_itself_for_15_s_counts_no_more",
    ),
    _mutant(
        "an emptied logs server is another one", "Agreement._identify",
        "self._identity or secrets.token_hex(16)", "secrets.token_hex(16)",
        "tests/broker/store/test_agreement.py::test_an_identity_that_is_lost_is_restored_and_another_one_is_taken_over",
    ),
    _mutant(
        "a worker takes what it will not find", "Dispatcher.listen", "if self._agreement.apart:", "if False:",
        "tests/system/faults/test_other_logs.py::test_submits_are_refused_and_the_worker_says_why_until_it_has_the_logs_of_the_api",
    ),
    # -- what viewers see
    # Inside the script nobody can see the order of the two: it must be somebody else who publishes first.
    _mutant(
        "publish before append", "Lane.send",
        "replies = await self._exchange(calls)",
        "for call in calls:\n"
        "                _, _, names, *words = call.split(b'\\r\\n')[2::2]\n"
        "                live, attempt, first, _, _, *contents = words[int(names) :]\n"
        "                pairs = zip(contents[::2], contents[1::2])\n"
        "                said = [b'%b%d:%b' % (kind, len(value), value) for kind, value in pairs]\n"
        "                if said:\n"
        "                    payload = b'%b-%b\\n%b' % (attempt, first, b''.join(said))\n"
        "                    await self._exchange([b'*3\\r\\n' + _bulk('PUBLISH', live, payload)])\n"
        "            replies = await self._exchange(calls)",
        _APPENDER + "test_what_redis_does_not_take_is_never_shown",
        _APPENDER + "test_what_a_full_redis_refuses_is_never_shown",
    ),
    _mutant(
        "the seam is off by one", "Ring.position_behind",
        "return position + 1 if cursor", "return position + 2 if cursor",
        "tests/api/viewing/test_ring.py::test_every_place_has_the_id_of_the_entry_before_it_and_every_id_its_place",
    ),
    _mutant(
        "what was known is shown again", "fits",
        "[entry for entry in append.entries if entry.id > last]", "append.entries",
        _HUB + "test_a_tail_that_is_back_under_its_ids_is_shown_once",
    ),
    _mutant(
        "a hole is taken for the next one", "fits",
        'if append.prev > last:\n        return "hole", []',
        'if append.prev > last:\n        return "added", append.entries',
        _HUB + "test_what_was_written_and_never_heard_of_is_read_from_the_log",
    ),
    _mutant(
        "one missed entry is taken for none", "fits", "if append.prev == last:",
        "if append.prev in (last, EntryId(last.attempt, last.seq + 1)):",
        _FEED + "test_what_is_published_goes_on_overlaps_leaves_a_hole_or_shows_that_the_log_was_rewound",
    ),
    _mutant(
        "a hole among what was held is taken for none", "Feed.caught_up",
        "return None\n        self.ring.synced = True", "break\n        self.ring.synced = True",
        "tests/api/viewing/test_catch_up.py::test_one_entry_that_was_missed_while_the_log_was_read_is_read_too",
    ),
    _mutant(
        "messages are kept from before a loss", "Feed.lose", "self._held.clear()", "",
        _TICKS + "test_messages_from_before_a_loss_are_not_shown_behind_it",
    ),
    _mutant(
        "who left before the stream began is never detached", "DirectProtocol._follow",
        "left(viewer)\n            return", "return",
        _DIRECT + "test_who_left_before_the_stream_began_is_detached",
    ),
    _mutant(
        "who was slow once is cut later", "DirectProtocol._lets_write",
        "viewer.blocked_since = None if lets else self.loop.time()",
        "viewer.blocked_since = viewer.blocked_since if lets else self.loop.time()",
        _DIRECT + "test_who_was_slow_and_reads_again_is_slow_no_more",
    ),
    _mutant(
        "who was slow once is cut later, through ASGI", "EventStream._pump",
        "viewer.blocked_since = None", "",
        _DIRECT + "test_through_asgi_too_a_viewer_is_slow_only_while_a_send_waits",
    ),
    _mutant(
        "the quick way is open while draining", "Hub.knows", "or self.draining or", "or",
        _TICKS + "test_the_quick_way_is_for_what_runs_here_and_is_closed_while_draining",
    ),
    _mutant(
        "the quick way is open to whom the generation is not", "Hub.knows", " or not who.may_see(feed.owner, id_):", ":",
        "tests/api/access/test_gate.py::test_the_quick_way_in_is_shut_to_whom_it_is_not_and_asks_for_each",
    ),
    _mutant(
        "the quick way tells no page that it may read", "DirectProtocol._begin",
        'lines += [b"%b: %b\\r\\n" % header for header in self._sharing()]', "",
        "tests/system/http/test_both_ways_in.py::test_both_ways_answer_alike",
        "tests/system/http/test_cors.py::test_a_viewer_that_joins_may_read_its_stream",
    ),
    _mutant(
        "what the parser refuses no page may read", "BoundedProtocol._answer",
        "*self._sharing(), *response.raw_headers", "*response.raw_headers",
        "tests/system/http/test_cors.py::test_every_answer_lets_its_page_read_it",
    ),
    _mutant(
        "any name is loopback", "Origins.__init__", "is_loopback(name_of(web[1]))", "name_of(web[1]) != \"\"",
        "tests/system/http/test_cors.py::test_the_word_loopback_stands_for_any_port_of_this_machine_and_a_name_for_itself",
    ),
    _mutant(
        "a stream that begins forgets the head behind it", "DirectProtocol._follow",
        "if not self._in_head:  # of a request behind this one", "if True:",
        "tests/system/http/test_connection.py::test_a_head_that_comes_in_two_pieces_while_a_stream_begins_is_one_head",
    ),
    _mutant(
        "a cursor is shown its own entry again", "Pages._read", "entries = entries[1:]", "pass",
        _HUB + "test_a_viewer_with_a_cursor_gets_what_follows_it_and_nothing_else",
    ),
    _mutant(
        "who falls behind the ring reads twice", "Rendition.send_to_log",
        "viewer.move(self._ring.id_before(position))", "viewer.move(self._ring.id_before(self.base))",
        _FEED + "test_every_viewer_gets_exactly_what_is_behind_its_cursor",
    ),
    _mutant(
        "all are told of a lost tail", "Feed.reset",
        'if reason == "rewound" and viewer.goes_on_from(newest):', "if False:",
        "tests/api/viewing/test_catch_up.py"
        "::test_entries_that_were_shown_and_are_lost_are_told_as_a_gap_to_whom_they_were_shown",
    ),
    _mutant(
        "nobody is told of a lost tail", "Viewer.goes_on_from", "self.cursor > newest", "False",
        "tests/api/viewing/test_catch_up.py"
        "::test_entries_that_were_shown_and_are_lost_are_told_as_a_gap_to_whom_they_were_shown",
    ),
    _mutant(
        "who was given nothing yet is told that it was lost", "Viewer.goes_on_from",
        "given = self._opening is not None or (self._ended and not self._pieces)",
        "given = self._opening is not None or self._ended or bool(self._pieces) or self._read is not None",
        "tests/api/viewing/test_viewer.py::test_who_was_given_nothing_that_is_lost_reads_anew_and_is_told_of_no_gap",
    ),
    _mutant(
        "what was read of a log before it lost its tail is shown", "Viewer.goes_on_from",
        "self._read, self._pieces, self._ended = None, [], False", "pass",
        "tests/api/viewing/test_viewer.py::test_who_was_given_nothing_that_is_lost_reads_anew_and_is_told_of_no_gap",
    ),
    _mutant(
        "who stops following forgets where it was", "Viewer.halt",
        "self.position = self.rendition.shown", "pass",
        _FEED + "test_viewers_whose_socket_lends_itself_see_the_same",
    ),
    _mutant(
        "what a socket did not take is lost", "Rendition.show", "write(ready[sent:])", "write(b'')",
        _FEED + "test_viewers_whose_socket_lends_itself_see_the_same",
    ),
    _mutant(
        "a gap is not told", "Viewer.reset",
        "self.tell(self.view.dialect.gap(reason))", "self.wake()",
        _FEED + "test_a_reset_says_gap_first_and_begins_anew_however_much_was_told_before",
        _HUB + "test_a_viewer_ahead_of_the_log_is_told_of_the_gap_and_gets_what_there_is",
    ),
    _mutant(
        "what was lost comes behind the gap", "Viewer.reset",
        "self._pieces = []\n        self._ended = False", "self._ended = False",
        "tests/api/viewing/test_viewer.py::test_nothing_of_what_was_lost_comes_behind_the_gap",
    ),
    _mutant(
        "a page follows a cursor that is lost", "Pages._read",
        "return Page([], cursor, ended=False, full=False, rewound=True)\n        entries = entries[:_ENTRIES]",
        "pass\n        entries = entries[:_ENTRIES]",
        _HUB + "test_a_cursor_that_the_log_has_lost_is_told_so_before_what_there_is",
    ),
    _mutant(
        "pages of what was lost are kept", "CatchUp._rewound", "self._pages.forget(feed.id)", "pass",
        _HUB + "test_an_end_that_was_read_and_then_lost_is_not_shown_to_who_comes_later",
    ),
    _mutant(
        "pages outlive a loss of the connection", "Pages.forget_all",
        "self._kept.clear()\n        self.bytes = 0", "return",
        _HUB + "test_what_was_read_before_redis_went_away_is_read_again",
    ),
    _mutant(
        "a log that lost its tail is not noticed", "CatchUp._catch_up",
        "if not entries or entries[0].id != last:", "if not entries:",
        _HUB + "test_a_viewer_ahead_of_the_log_is_told_of_the_gap_and_gets_what_there_is",
    ),
    _mutant(
        "a silent loss is not looked for", "CatchUp._check",
        "if behind and feed.ring.synced and feed.ring.last == last:", "if False:",
        _HUB + "test_a_silent_loss_is_found_out_too",
    ),
    _mutant(
        "a hub that comes behind the end does not know it", "CatchUp._start",
        "feed.start(newest.id, ended=ended)", "feed.start(newest.id, ended=False)",
        _HUB + "test_who_arrived_just_before_the_end_makes_nobody_wait_who_comes_back_behind_it",
    ),
    _mutant(
        "who waits is told an end that is not safe", "Hub._found_ended",
        "if not self._keeps_back(feed, end):", "if True:",
        _WAIT + "test_a_strict_end_that_comes_while_it_is_waited_for_is_told_when_it_is_safe",
    ),
    _mutant(
        "who comes when all is over waits", "Hub.await_end", "if feed.ring.ended and feed not in self._unsafe:", "if False:",
        _WAIT + "test_who_comes_to_a_feed_that_knows_the_end_does_not_wait",
    ),
    _mutant(
        "who waits keeps a process that drains", "Hub.drain", "feed.let_go()", "pass",
        _WAIT + "test_a_process_that_drains_answers_at_once",
    ),
    _mutant(
        "what starts later is forgotten when coordination has lost it", "Sweeper._see_to",
        "later = {id_: look.start_ms for id_, look in alive.items() if look.start_ms}", "later = {}",
        _STARTING + "test_what_coordination_has_lost_starts_when_it_should_all_the_same",
    ),
    _mutant(
        "nobody looks when it may start", "overdue.lua", "{ KEYS[2], KEYS[3] }", "{ KEYS[2] }",
        _STARTING + "test_what_starts_later_is_listed_at_once_and_queued_when_its_time_has_come",
    ),
    _mutant(
        "what starts later is queued at once", "accept.lua", "if start and start > now then", "if false then",
        _STARTING + "test_what_starts_later_is_listed_at_once_and_queued_when_its_time_has_come",
    ),
    _mutant(
        "what starts late is forgotten early", "creating.lua", "life = life + math.max(0, (start or 0) - now)", "",
        _STARTING + "test_what_starts_later_is_listed_at_once_and_queued_when_its_time_has_come",
    ),
    _mutant(
        "what was cancelled starts all the same", "file.lua", "remove(KEYS[4], unpack(ids))", "",
        _STARTING + "test_a_cancel_before_the_start_leaves_nothing_to_start",
    ),
    _mutant(
        "the background is as urgent as all else", "creating.lua", " + (delay or 0)", "",
        _STARTING + "test_the_background_goes_behind_what_is_submitted_in_its_delay_and_before_what_comes_later",
    ),
    _mutant(
        "the background loses its place", "Coordination.enqueue_lost", "look.place_ms or None", "None",
        _STARTING + "test_the_background_keeps_its_place_and_lists_keep_the_order_of_submits",
    ),
    _mutant(
        "verdicts of a batch are not in order", "batch._verdicts",
        "yield orjson.dumps(await under_way[0])", "yield orjson.dumps(await under_way[-1])",
        _BATCH + "test_each_line_has_its_verdict_in_their_order_and_a_bad_one_stops_no_other",
    ),
    _mutant(
        "a batch that is sent again is accepted again", "batch._verdicts",
        'its_key = None if key is None else f"{key} {number}"', "its_key = None",
        _BATCH + "test_a_batch_that_is_sent_again_with_its_key_makes_nothing_twice",
    ),
    _mutant(
        "labels are not listed again", "Coordination.list_again", "tags.get(id_, NO_TAGS), look.owner", "NO_TAGS, look.owner",
        "tests/broker/store/test_tagged.py::test_what_coordination_has_lost_is_put_back_under_its_tags",
    ),
    _mutant(
        "lists of labels keep what has gone", "unlist.lua", "redis.call('ZREM', list_of(owner, 'tag:' .. digest), id)", "",
        "tests/broker/store/test_tagged.py::test_the_lists_have_what_a_look_at_all_records_finds",
    ),
    _mutant(
        "what lists say of labels is believed", "Service.list",
        "[(place, record) for place, record in asked if tags.are_in(record.tags)] if tags else asked", "asked",
        "tests/api/routes/test_labels.py::test_a_list_that_is_wrong_of_a_label_is_not_believed",
    ),
    _mutant(
        "an answer that is not streamed has a first token to wait for", "Attempt._read_answer",
        'self._watch("first_token_timeout" if self._streams else None)', 'self._watch("first_token_timeout")',
        "tests/worker/generating/test_watchdogs.py::"
        "test_an_answer_that_comes_as_one_is_awaited_for_as_long_as_the_whole_may_take",
    ),
    _mutant(
        "an answer that was cut off is whole", "whole.events_of",
        'yield [end] if message.get("stop_reason") is None else', "yield",
        "tests/worker/upstreams/anthropic/test_whole.py::test_an_answer_that_does_not_say_why_it_stopped_has_no_end",
    ),
    _mutant(
        "a reader ignores where an attempt begins", "Transcript.keep", "del self.blocks[blocks:]", "",
        "tests/broker/test_transcript.py::test_an_answer_cut_again_and_again_and_continued_is_the_whole_answer",
    ),
    # -- who watches
    _mutant(
        "the grace is ignored", "abandon.lua", "<= tonumber(ARGV[2])", "<= 0",
        _WATCHING + "test_what_nobody_has_watched_for_longer_than_the_grace_is_cancelled_for_that",
    ),
    _mutant(
        "only the first note of a viewer counts", "watch.lua", "redis.call('HSET'", "redis.call('HSETNX'",
        _WATCHING + "test_one_note_of_a_viewer_gives_the_whole_grace_again",
    ),
    _mutant(
        "who was ever watched is watched for ever", "abandon.lua", "if watched > now then", "if watched > 0 then",
        _WATCHING + "test_what_nobody_has_watched_for_longer_than_the_grace_is_cancelled_for_that",
    ),
    _mutant(
        "time in which nobody could be noted counts", "abandon.lua",
        "or now - asked > tonumber(ARGV[6])", "",
        _WATCHING + "test_behind_a_pause_in_which_nobody_asked_the_grace_begins_anew",
        _WATCHING + "test_a_question_that_was_answered_late_and_unheard_cancels_nothing",
    ),
    _mutant(
        "viewers of one API alone count", "Watched.run",
        "self._came.update(dict.fromkeys(self._watched()))", "",
        "tests/api/viewing/test_watched.py",
    ),
    _mutant(
        "what nobody has watched yet always counts", "abandon.lua", "(r[3] or ARGV[3] == '1')", "true",
        _WATCHING + "test_what_nobody_has_watched_yet_counts_only_if_that_was_asked_for",
    ),
    # -- chunks
    _mutant(
        "an end drops what is held back", "Chunks.fold", "self._cut(state, None, frames), entry", "state, entry",
        _CHUNKS + "test_however_it_is_cut_flushed_left_and_resumed_the_text_is_the_log_s",
        _CHUNKS + "test_the_end_flushes_and_thinking_is_cut_as_text_is_and_a_tool_s_input_is_not",
    ),
    _mutant(
        "a chunk has the id of its first entry", "Chunks._shown", "= chunk[-1]", "= chunk[0]",
        _CHUNKS + "test_a_chunk_has_the_id_of_its_last_entry_and_what_is_no_text_does_not_overtake_it",
    ),
    _mutant(
        "what was held is shown twice behind a flush", "Chunks.flush",
        "return self._cut(state, most, frames), frames", "self._cut(state, most, frames); return state, frames",
        _CHUNKS + "test_however_it_is_cut_flushed_left_and_resumed_the_text_is_the_log_s",
    ),
    _mutant(
        "a page keeps its tail to itself", "folding.folded",
        "return state, frames + held", "return state, frames + [b''] * len(held)",
        _CHUNKS + "test_every_viewer_gets_exactly_what_is_behind_its_cursor_in_whatever_size",
    ),
    _mutant(
        "who joins within what is held is shown all of it", "Chunking.position_behind",
        "self._flush(position - self.end)", "position = self.end",
        _CHUNKS + "test_who_joins_within_what_is_held_gets_only_what_is_new_and_the_others_lose_nothing",
    ),
    _mutant(
        "who comes with a cursor within a chunk joins there", "Chunking._is_end",
        "return position > self.base and self.frames[position - 1 - self.base] != b\"\"", "return True",
        _CHUNKS + "test_who_comes_with_a_cursor_within_a_chunk_that_was_shown_gets_the_rest_of_it",
    ),
    _mutant(
        "what is past its boundary is held", "Chunking._due", "min(due, self._passed_at + PAST_SECONDS)", "due",
        _CHUNKS + "test_what_is_past_its_boundary_is_held_for_a_twentieth_of_a_second",
    ),
    _mutant(
        "lines of code are cut", "boundaries._in_fence", "return bool(scan.fence) or", "return False and",
        "tests/api/dialects/test_boundaries.py",
    ),
    _mutant(
        "a boundary that depends on what follows is taken at once", "boundaries._is_known",
        "return any(sign.isalpha() or sign in _SETTLES for sign in behind)", "return True",
        "tests/api/dialects/test_boundaries.py",
    ),
    # -- server tools
    _mutant(
        "a tool with a result is run again after a crash", "Rounds._missing",
        "if wanted.id in ids:", "if wanted.id in ids and turn.results[-1].told:",
        _ROUNDS + "test_wherever_workers_die_no_call_with_a_result_is_made_again_and_no_result_changes",
    ),
    _mutant(
        "a turn whose tools ran is asked for again", "Rounds.begin",
        "if found and found[-1].whole:", "if found and found[-1].whole and not self._missing(found[-1]):",
        _ROUNDS + "test_wherever_workers_die_no_call_with_a_result_is_made_again_and_no_result_changes",
        "tests/system/test_tools.py::test_a_worker_that_dies_inside_a_tool_leaves_what_has_ended",
    ),
    _mutant(
        "a result is for whichever call comes first", "Rounds._missing",
        "if wanted.id in ids:\n                ids.remove(wanted.id)", "if ids:\n                ids.pop()",
        _ROUNDS + "test_wherever_workers_die_no_call_with_a_result_is_made_again_and_no_result_changes",
    ),
    _mutant(
        "an end that a worker died before is told to nobody", "untold", "and not block.told", "and False",
        _ROUNDS + "test_wherever_workers_die_no_call_with_a_result_is_made_again_and_no_result_changes",
    ),
    _mutant(
        "a tool does not hear of a cancel", "Toolbox.run",
        "except asyncio.CancelledError:\n            await self._stop(tool, running)", "except asyncio.CancelledError:",
        _TOOLBOX + "test_a_cancel_cancels_the_tool_and_frees_its_place",
        "tests/system/test_tools.py::test_a_cancel_inside_a_tool_cancels_it",
    ),
    _mutant(
        "a thread that hangs takes no place", "Toolbox.run",
        "if not done:", "if not done and (tool.kind != 'thread' or self._places.release() is None):",
        _TOOLBOX + "test_a_thread_that_hangs_keeps_its_place_until_it_ends_and_the_next_is_told_that_there_was_none",
    ),
    _mutant(
        "a tool that exits ends the worker", "Toolbox._in_loop",
        "except BaseException as error:", "except Exception as error:",
        "tests/system/test_tools.py::test_a_tool_that_fails_is_a_result_and_the_model_goes_on",
    ),
    _mutant(
        "what a tool raised is told", "Toolbox._raised",
        'f"The tool failed ({type(error).__name__})."', 'f"The tool failed ({error!r})."',
        _TOOLBOX + "test_what_a_tool_raised_is_in_no_log_and_no_result",
    ),
    _mutant(
        "the silence of a tool is taken for the upstream's", "Attempt._read",
        "self._watch(None)\n                    step = await tooled.use",
        "self._watch('idle_timeout')\n                    step = await tooled.use",
        "tests/system/test_tools.py::test_the_total_time_ends_a_generation_inside_a_tool_and_its_silence_does_not",
    ),
    _mutant(
        "a round more than allowed", "Rounds._behind", "len(found) <= self.most", "len(found) <= self.most + 1",
        _ROUNDS + "test_rounds_are_counted_over_attempts",
        "tests/system/test_tools.py::test_as_many_rounds_as_are_allowed_are_not_too_many",
    ),
    _mutant(
        "rounds cost what the last one does", "Attempt._read_answer",
        "self._earlier_usage = added_usage(self._earlier_usage, answer.usage)", "pass",
        "tests/system/test_tools.py::test_tools_run_side_by_side_round_by_round_and_all_of_it_is_shown_and_kept",
    ),
    _mutant(
        "any tool is accepted", "_of_the_server", "if known is not None and name not in known:", "if False:",
        "tests/system/test_tools.py::test_a_tool_that_there_is_not_is_refused_with_its_place",
    ),
    _mutant(
        "the calculator makes any power", "_power", "raise OverflowError", "pass",
        "tests/worker/tools/test_shipped.py::test_what_is_no_arithmetic_or_too_large_is_refused_at_once",
    ),
    # -- the archive
    _mutant(
        "a log is dropped before its object is confirmed", "Archiver._see_to_generation",
        "        await self._archive.put(name, data)\n"
        "        outcome = await self._logs.archive(id_, mark, packed.last, packed.entries, look.ended_ms + IN_TIME_MS)\n",
        "        outcome = await self._logs.archive(id_, mark, packed.last, packed.entries, look.ended_ms + IN_TIME_MS)\n"
        "        await self._archive.put(name, data)\n",
        _ARCHIVER + "test_who_breaks_off_before_redis_has_dropped_the_log_loses_nothing_and_leaves_no_orphan",
        _ARCHIVED + "test_a_worker_that_is_killed_before_redis_dropped_the_log_loses_nothing_and_leaves_no_orphan",
    ),
    _mutant(
        "what was written is not read back", "Archive.put", "if await self._read(name) != data:", "if False:",
        "tests/broker/store/test_archive.py::test_what_the_store_says_that_it_has_and_has_not_is_not_put",
        _ARCHIVED + "test_what_the_store_has_not_kept_stays_in_redis",
    ),
    _mutant(
        "an object is not announced", "Archiver._see_to_generation",
        "await self._archiving.look_in({name: NOBODYS_MS})", "",
        _ARCHIVER + "test_who_breaks_off_before_redis_has_dropped_the_log_loses_nothing_and_leaves_no_orphan",
        _ARCHIVED + "test_a_worker_that_is_killed_before_redis_dropped_the_log_loses_nothing_and_leaves_no_orphan",
    ),
    _mutant(
        "a log that has become another is dropped", "archive.lua",
        "if r[2] ~= ARGV[2] or redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 'changed' end", "",
        _ARCHIVE + "test_a_log_whose_end_redis_has_lost_stays_and_another_end_is_not_taken_for_it",
        _ARCHIVER + "test_a_log_that_has_become_another_meanwhile_stays",
    ),
    _mutant(
        "who is late drops the log", "archive.lua",
        "if now_ms() - tonumber(r[3]) > tonumber(ARGV[4]) then return 'late' end", "",
        _ARCHIVE + "test_who_comes_so_late_that_his_object_may_be_taken_for_an_orphan_is_refused",
    ),
    _mutant(
        "an object that a stub names is erased", "Archiver._see_to_object",
        "if look is not None and named == mark:", "if False:",
        _ARCHIVER + "test_an_object_goes_when_its_stub_has_gone_and_not_before",
    ),
    _mutant(
        "another's archive is swept", "Archive.claim", "if owner != identity.encode():", "if False:",
        _ARCHIVER + "test_nothing_is_swept_in_another_s_archive_nor_by_who_does_not_know_who_it_is",
    ),
    _mutant(
        "a damaged object is shown", "Shelf._read",
        "if await digest(data, self.turns) != digest_of(mark):", "if False:",
        "tests/broker/store/test_shelf.py::test_what_is_not_what_the_stub_names_is_not_read_nor_asked_for_again_at_once",
    ),
    _mutant(
        "without an archive an archived log is empty", "Logs._archived",
        'raise ArchiveUnavailable("there is none here")', "return None",
        "tests/api/routes/test_archived.py::test_an_api_that_has_no_archive_says_so",
    ),
    # -- cells
    _mutant(
        "the cell is read from the wrong place", "cell_of",
        "_CROCKFORD.index(id_[5]) << 5 | _CROCKFORD.index(id_[6])", "_CROCKFORD.index(id_[6]) << 5 | _CROCKFORD.index(id_[7])",
        "tests/broker/test_ids.py::test_an_id_names_its_cell",
    ),
    _mutant(
        "a derived id forgets its cell", "Derivation.of", 'f"{each} {key}", self._cell)', 'f"{each} {key}")',
        "tests/broker/store/test_derived.py::test_a_derived_id_names_its_cell",
    ),
    _mutant(
        "a key is not asked for where it was at home", "Cells._at_home",
        "for number in sorted(former - {now}):", "for number in ():",
        _CELLS + "test_what_a_key_made_is_found_where_it_was_at_home_before_weights_changed",
    ),
    _mutant(
        "a key goes elsewhere while its home is away", "Cells._at_home",
        "return self.services[now]", "return next(each for each in self.services.values() if each.takes_submits)",
        _CELLS + "test_a_key_goes_to_its_home_and_is_refused_while_that_is_away",
    ),
    _mutant(
        "a cell that drains is a home", "_score", "-weight / math.log(drawn)", "-1 / math.log(drawn)",
        "tests/broker/test_placing.py::test_a_key_is_at_home_in_one_cell_and_cells_have_keys_by_weight",
    ),
    _mutant(
        "a submit that may have happened goes to another cell too", "Cells._anywhere",
        "if isinstance(error, OutcomeUnknown) or not left:", "if not left:",
        _CELLS + "test_what_a_cell_may_have_taken_no_other_takes",
    ),
    _mutant(
        "a list stops at the first cell", "merged", "for part in parts for row in part.rows", "for row in parts[0].rows",
        "tests/api/routes/test_merging.py::test_pages_one_after_the_other_are_all_that_there_is_in_order",
    ),
    _mutant(
        "a list shows what is behind where a cell was read to", "merged",
        "if horizon is None or row[0] >= horizon", "",
        "tests/api/routes/test_merging.py::test_pages_one_after_the_other_are_all_that_there_is_in_order",
    ),
    _mutant(
        "a list lacks a cell and says nothing", "Cells.list", "if failures and not (partial and parts):", "if not parts:",
        _CELLS + "test_a_list_without_a_cell_is_refused_unless_a_part_will_do_and_says_which_is_missing",
    ),
    _mutant(
        "a sweep erases what is another cell's", "ArchiveSweep.look", "and cell_of(each.id) == self._cell", "",
        _ARCHIVER + "test_a_sweep_leaves_what_is_another_cell_s_and_each_has_an_owner_of_its_own",
    ),
    _mutant(
        "a cell that is away holds up the answer that another is ready", "states",
        "timeout = _OTHERS_SECONDS if one_is_ready else None", "timeout = None",
        _CELLS + "test_a_cell_that_does_not_answer_holds_up_nobody_who_asks_whether_another_is_ready",
    ),
    # -- the chat form, and what an end tells
    _mutant(
        "whoever resumes starts a second generation", "accepted_or_resumed", "if not cursor or key is None:", "if True:",
        _CHAT_FORM + "test_whoever_resumes_what_is_not_there_starts_nothing",
    ),
    _mutant(
        "a chat's frame has no cursor", "with_id", """b'%b,"id":"%d-%d"}' % (value[:-1], *id_)""", "value",
        _CHAT + "test_both_readers_get_every_event_and_its_cursor",
    ),
    _mutant(
        "a keep-alive is glued to an event", "chat.KEEP_ALIVE", 'sse.KEEP_ALIVE + b"\\n"', "sse.KEEP_ALIVE",
        _CHAT + "test_both_readers_get_every_event_and_its_cursor",
    ),
    _mutant(
        "a number is lost among the text", "_number_at_the_end", "if digit is None:", "if True:",
        _CHAT + "test_a_number_waits_for_the_text_behind_it_and_no_longer_than_to_the_end",
    ),
    _mutant(
        "text ends the stream", "frames_of", "cuts = _cuts(text, 0, len(text))", "cuts = set[int]()",
        _CHAT + "test_what_a_page_appends_that_reads_frames_is_the_text",
    ),
    _mutant(
        "a notice without a word stops a viewer", "Viewer.tell", "if frame and len", "if len",
        "tests/api/viewing/test_viewer.py::test_what_a_dialect_has_no_word_for_is_not_told",
    ),
    _mutant(
        "what the operator fills in is compared", "GenerationRequest.fingerprint", "if name in given and value", "if value",
        "tests/broker/test_request.py::test_what_the_operator_fills_in_is_stored_and_is_no_part_of_what_was_asked",
    ),
    _mutant(
        "the pace counts the pause between two calls", "Arrivals.paused", "self._last = None", "pass",
        "tests/worker/generating/test_arrivals.py::test_what_lies_between_two_calls_is_nobody_s_pace",
    ),
    _mutant(
        "any retry-after is passed on", "retry_after.seconds",
        "return asked if 0 <= asked <= _LONGEST else None", "return asked",
        "tests/worker/upstreams/anthropic/test_client.py::test_a_pause_is_asked_for_in_seconds_that_could_be_meant",
    ),
    # -- webhooks, and what is made anew
    _mutant(
        "a webhook is told before its strict end is safe", "Deliverer._try", "if untold.record.unconfirmed:", "if False:",
        _DELIVERER + "test_a_strictly_durable_end_that_is_not_safe_waits",
    ),
    _mutant(
        "a webhook is told whatever became of the wait", "Deliverer._try", "if not await self._stands(id_, untold):",
        "if False:",
        _DELIVERER + "test_a_strictly_durable_end_that_is_not_safe_waits",
    ),
    _mutant(
        "an end by a cancel is told nobody", "cancel.lua", "seal(KEYS,", "seal({ KEYS[1], KEYS[2], KEYS[3], KEYS[3] .. '-' },",
        _DELIVERER + "test_whatever_ends_a_generation_puts_aside_what_is_told[by_cancel]",
    ),
    _mutant(
        "an end that a worker has not filed is told nobody", "Coordination.retire",
        "await self.tell([id_ for id_, look in ended.items() if look.hooked])", "pass",
        _DELIVERER + "test_whatever_ends_a_generation_puts_aside_what_is_told[by_cancel]",
        _DELIVERER + "test_whatever_ends_a_generation_puts_aside_what_is_told[by_finish]",
    ),
    _mutant(
        "an end is filed on one server and not told", "conclude.lua", "if ended[6] == 1 then", "if false then",
        _DELIVERER + "test_whatever_ends_a_generation_puts_aside_what_is_told[conclude]",
    ),
    _mutant(
        "what has expired unfiled is not told", "webhooks.unlist", "await coordination.tell(untold)", "pass",
        _DELIVERER + "test_what_has_expired_before_anybody_filed_it_is_told_yet",
    ),
    _mutant(
        "what coordination has lost is not told", "put_back", "await coordination.tell(untold)", "pass",
        _DELIVERER + "test_what_coordination_has_lost_is_found_among_the_records",
    ),
    _mutant(
        "a webhook of a dead worker is its for ever", "webhooks_due.lua",
        "for _, id in ipairs(found) do redis.call('ZADD', KEYS[1], until_ms, id) end",
        "if #found > 0 then redis.call('ZREM', KEYS[1], unpack(found)) end",
        _DELIVERER + "test_a_redis_that_goes_away_in_between_costs_one_try_more",
    ),
    _mutant(
        "two tell what one has taken", "webhooks_due.lua",
        "for _, id in ipairs(found) do redis.call('ZADD', KEYS[1], until_ms, id) end", "",
        _DELIVERER + "test_nobody_else_gets_what_is_being_tried_until_its_time_is_over",
    ),
    _mutant(
        "a late note takes the place of a newer one", "tried.lua", "(r[2] or '0') ~= ARGV[2]", "false",
        _DELIVERER + "test_what_came_of_a_try_is_noted_once",
    ),
    _mutant(
        "a note makes an expired record anew", "tried.lua",
        "if redis.call('HGET', KEYS[1], 'terminal_id') == ARGV[1] then", "if true then",
        _DELIVERER + "test_the_record_may_expire_while_tries_go_on",
    ),
    _mutant(
        "a redirect is followed", "Poster.post", "allow_redirects=False", "allow_redirects=True",
        _POSTING + "test_a_redirect_is_an_answer_and_a_pause_that_is_asked_for_is_told",
    ),
    _mutant(
        "an address is checked by nobody", "Poster.post", "if why_not_address(str(address[0]), self._allowed) is not None:",
        "if False:", _POSTING + "test_a_name_that_leads_to_a_private_address_is_not_connected_to",
    ),
    Mutant(
        "one address is checked, another connected to",
        (
            Edit("Poster.post", "refused: list[str] = []", "refused: list[str] = []; first: list[str] = []"),
            Edit(
                "Poster.post", "if why_not_address(str(address[0]), self._allowed) is not None:",
                "first.append(str(address[0]))\n            if why_not_address(first[0], self._allowed) is not None:",
            ),
        ),
        (_POSTING + "test_of_several_addresses_each_is_checked",),
    ),
    _mutant(
        "a proxy of the environment is asked", "Poster.post", "trust_env=False", "trust_env=True",
        _POSTING + "test_no_proxy_of_the_environment_is_asked",
    ),
    _mutant(
        "another spelling of an address is public", "why_not_address", "if within(_NEVER):", "if False:",
        "tests/broker/test_webhooks.py::test_nothing_connects_to_what_is_not_public",
    ),
    _mutant(
        "who is gone is tried again", "deliverer.judged", 'None if answer.trouble == "gone" else ', "",
        "tests/worker/webhooks/test_schedule.py::test_what_an_answer_makes_of_a_webhook",
    ),
    _mutant(
        "what is gone on from is not in the new log", "plan._anew", "opened_with(earlier)", "()",
        "tests/worker/generating/test_plan.py::"
        "test_what_goes_on_from_an_earlier_text_puts_that_first_and_asks_for_the_rest",
    ),
    _mutant(
        "one key for two generations makes one retry", "retried", "retry_of=id_", "",
        "tests/api/intake/test_anew.py::test_two_keys_alike_of_two_generations_are_no_repetition",
    ),
    _mutant(
        "a prompt gets a fifth mark", "caching.marked", "if left <= 0:", "if False:",
        _CACHING + "test_whatever_is_asked_four_marks_are_the_most_and_the_request_is_the_same",
    ),
    _mutant(
        "an hour's mark stands behind one of minutes", "caching._mark", "hour = any(", "hour = not any(",
        _CACHING + "test_before_an_hour_s_mark_ours_lasts_an_hour_too",
    ),
    _mutant(
        "thinking is marked", "_may_be_marked", 'block.get("type") not in _NEVER_MARKED and ', "",
        _CACHING + "test_what_may_not_be_marked_is_passed_over",
    ),
    # -- what it cost
    _mutant(
        "a call's cost is counted with each of its words", "Bill.shows", "self._now = self._settled + self._price.of(usage)",
        "self._now = self._settled = self._settled + self._price.of(usage)",
        _PRICES + "test_a_bill_adds_up_calls_and_takes_a_call_s_last_word",
    ),
    _mutant(
        "what is unknown costs nothing", "Bill.__init__",
        "if prices is not None and before is not None:", "if prices is not None:",
        _PRICES + "test_what_was_spent_before_and_is_unknown_makes_all_unknown",
    ),
    _mutant(
        "what was discarded was not wasted", "claim.lua", "if ARGV[14] == '1' then", "if false then",
        _FIGURES + "test_what_an_attempt_discards_was_wasted_and_what_is_gone_on_with_was_not",
    ),
    _mutant(
        "what has failed was not wasted", "common.lua", "if failed then wasted = spent_on(usage, cost) end", "",
        _FIGURES + "test_of_what_has_failed_all_was_wasted",
    ),
    # -- a second upstream
    _mutant(
        "an answer of Chat is complete without a reason", "ChatTranslator.end",
        "if self.stopped or not self._finish:", "if self.stopped:",
        _OPENAI + "test_chat_answer.py::test_without_a_finish_reason_it_has_not_ended_whatever_usage_says",
    ),
    _mutant(
        "an answer of Responses is complete without its end", "ResponsesTranslator.end",
        "return []", "self.stopped = True; self.stop_reason = 'end_turn'; return []",
        _OPENAI + "test_answers.py::test_an_answer_without_its_end_is_never_whole",
    ),
    _mutant(
        "a piece of a call of OpenAI goes to the one that was opened last", "Blocks.reopened",
        "if self.open is block:", "if self.open is not None:",
        _OPENAI + "test_chat_answer.py::test_pieces_of_two_calls_by_turns_go_each_to_its_own",
        _OPENAI + "test_responses_answer.py::test_pieces_of_two_calls_by_turns_go_each_to_its_own",
    ),
    _mutant(
        "a fallback goes on with what another model has begun", "Attempt._ask",
        "if self._begun:", "if self._begun and not self._others:",
        "tests/system/test_fallback.py::test_behind_the_first_token_no_other_model_answers",
    ),
    _mutant(
        "a key of an upstream is told", "opening._key", "return found", "print(found); return found",
        "tests/worker/test_bad_upstreams.py::test_a_key_may_be_in_a_secret_file_and_the_environment_comes_first",
    ),
    # -- who asks
    *DOORS,
    *LINKS,
    *VOCABULARIES,
    *NAMING,
    # -- WebSockets
    *SOCKETS,
    *UI,
    *TEXTS,
    *RESPONSES,
    *MESSAGES,
    # -- what all workers may ask of an upstream
    *SHARED,
    # -- what tenants may ask for
    *LIMITING,
    # -- payloads
    *PAYLOADS,
    # -- erasures and the audit log
    *ERASURES,
)  # fmt: skip
