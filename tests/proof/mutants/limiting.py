"""Seeded bugs in how the limits of tenants are held, charged and given back."""

from tests.proof.mutants.seeding import Mutant, mutant

_LIMITS = "tests/broker/store/test_limits.py::"
_EXACT = _LIMITS + "test_a_limit_is_reached_exactly_and_what_would_pass_it_leaves_nothing_behind"
_ONCE = _LIMITS + "test_a_submit_whose_reply_was_lost_is_charged_once"
_REPEAT = _LIMITS + "test_a_repeat_of_what_has_expired_is_charged_nothing"
_END = _LIMITS + "test_an_end_is_charged_what_it_has_cost_and_keeps_once_however_often_that_is_filed"

LIMITING: tuple[Mutant, ...] = (
    mutant("no pace is kept", "limits.lua", "if wait > 0 then", "if false then", _EXACT),
    mutant("one more runs", "limits.lua", ">= unfinished then", "> unfinished then", _EXACT),
    mutant("one more waits", "limits.lua", "waiting >= queued then", "waiting > queued then", _EXACT),
    mutant("no day's tokens", "limits.lua", "spent + tokens > tokens_a_day", "spent > tokens_a_day", _EXACT),
    mutant("no room is looked at", "limits.lua", "stored + bytes > most_bytes", "stored > most_bytes", _EXACT),
    mutant(
        "a request that is refused is counted", "pace.lua", "if wait > 0 then return due, wait end",
        "if wait > 0 then redis.call('SET', key, int(due + interval), 'PX', 60000) return due, wait end", _EXACT,
    ),
    mutant(
        "a lost reply is charged twice", "accept.lua",
        "(close or held ~= '') and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0", "close or held ~= ''", _ONCE,
    ),
    mutant(
        "a lost reply with a key is charged twice", "submit.lua",
        "and not redis.call('ZSCORE', KEYS[2], id) then", "then", _ONCE,
    ),
    mutant("a repeat is charged", "submit.lua", "if held and verdict == 'accepted' and", "if held and", _REPEAT),
    mutant("an end is added", "charges.lua", "if before then add(-1, before) end", "", _END),
    mutant(
        "what nobody knows costs nothing", "charges.lua", "(tokens_of(usage) or reserved)", "(tokens_of(usage) or 0)",
        _LIMITS + "test_where_nobody_knows_what_was_spent_what_was_reserved_stays",
    ),
    mutant(
        "who erases in time pays nothing", "charges.lua", "if before[4] == 's' or taken then", "if before[4] == 's' then",
        _LIMITS + "test_what_is_erased_while_it_runs_stays_spent",
    ),
    mutant(
        "what has expired is unspent", "charges.lua", "if before[4] == 's' or taken then", "if taken then",
        _LIMITS + "test_what_has_expired_takes_no_room_and_stays_spent",
    ),
    mutant(
        "what is gone keeps its room", "unlist.lua", "  strike(owner, id, taken, now, ARGV[5])\n", "",
        _LIMITS + "test_what_was_made_by_nobody_in_the_end_is_given_back",
    ),
    mutant(
        "a day that never ends", "charges.lua", "if today > day or today < day - 1 then", "if today < day - 1 then",
        _LIMITS + "test_a_new_day_begins_with_all_its_tokens_and_yesterday_s_ends_cost_it_nothing",
    ),
    mutant(
        "a clock gives a second day", "charges.lua", "today > day or today < day - 1", "today ~= day",
        _LIMITS + "test_a_clock_that_jumps_back_over_midnight_gives_no_second_day",
    ),
    mutant(
        "reads are free", "Limiter.count", "if isinstance(found, Limited):", "if False:",
        _LIMITS + "test_requests_that_are_no_submits_share_the_pace_of_those_that_are",
    ),
    mutant(
        "ends that two servers file are not settled", "Coordination.retire", "await self.settle(ended)", "pass", _END,
    ),
)  # fmt: skip
