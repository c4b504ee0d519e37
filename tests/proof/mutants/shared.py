"""Seeded bugs in what all workers together may ask of an upstream."""

from tests.proof.mutants.seeding import Mutant, mutant

_FLEET = "tests/worker/budgets/test_fleet.py::"
_BUDGETS = "tests/broker/store/test_budget_steps.py"

SHARED: tuple[Mutant, ...] = (
    mutant(
        "a place too many", "upstream_permit.lua", "+ ahead >= most then", "+ ahead > most then",
        _BUDGETS, _FLEET + "test_a_place_that_is_given_back_goes_to_who_has_waited_longest_whatever_process_that_is",
    ),
    mutant(
        "who comes later is before", "upstream_permit.lua", "tonumber(began) < since", "tonumber(began) > since",
        _FLEET + "test_a_place_that_is_given_back_goes_to_who_has_waited_longest_whatever_process_that_is",
    ),
    mutant(
        "places of the dead are kept", "upstream_permit.lua",
        "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(now))", "",
        _FLEET + "test_the_places_of_a_process_that_dies_lapse_and_those_of_one_that_lives_do_not",
    ),
    mutant(
        "places of the living lapse", "Teller._hold", "await run_all(self._redis, holds)", "pass",
        _FLEET + "test_the_places_of_a_process_that_dies_lapse_and_those_of_one_that_lives_do_not",
    ),
    mutant(
        "two probes", "budget.lua", "if b.probe ~= '' and now < b.probe_until then", "if false then",
        _BUDGETS, _FLEET + "test_an_open_breaker_lets_exactly_one_call_through_and_all_when_that_is_answered",
    ),
    mutant(
        "a late answer closes the breaker", "upstream_found.lua", "if b.pause > 0 and call == b.probe then",
        "if b.pause > 0 then", _BUDGETS,
    ),
    mutant(
        "a breaker that opens by numbers alone", "Counts.too_many", "and 2 * failed >= self.calls + self.calls_before", "",
        "tests/broker/test_breaker.py::test_it_opens_by_so_many_overloads_of_late_if_they_are_half_of_the_calls",
    ),
    mutant(
        "a minute with more calls than may", "Rate.of_calls", "(per_minute - burst + 1)", "per_minute",
        "tests/broker/test_rate.py::test_nor_has_one_in_which_everybody_calls_as_soon_as_may_be",
    ),
    mutant(
        "tokens are not settled", "upstream_leave.lua", "left, back = left + 1, back + ARGV[i + 1]", "left = left + 1",
        _BUDGETS, _FLEET + "test_tokens_that_a_call_did_not_use_are_there_for_the_next",
    ),
    mutant(
        "what nobody knows the cost of costs nothing", "Made.over", "0 if used is None else self.tokens - used",
        "self.tokens - (used or 0)",
        _FLEET + "test_tokens_that_a_call_did_not_use_are_there_for_the_next",
    ),
    mutant(
        "a pause is one process's own", "Budgets._found", "outcome.limited or outcome.told.low", "outcome.told.low",
        _FLEET + "test_all_wait_as_long_as_one_was_asked_to_but_not_longer_than_may_be",
    ),
    mutant(
        "Redis away stops calls", "Budgets._ask", "self._away_until = monotonic() + _ASK_SECONDS", "raise",
        _FLEET + "test_while_redis_is_away_each_process_keeps_to_the_limits_by_itself",
    ),
    mutant(
        "Redis away lifts limits", "Budgets._ask",
        "answer = alone.ask(call, monotonic() * 1000, tokens, self._holds_ms)", "answer = Permit()",
        _FLEET + "test_while_redis_is_away_each_process_keeps_to_the_limits_by_itself",
    ),
    mutant(
        "what nothing limits is asked for", "Budgets.begin",
        "if not account.limited and not self._in_trouble(account, now):", "if False:",
        _FLEET + "test_where_nothing_is_set_and_nothing_was_refused_redis_is_not_asked",
    ),
    mutant(
        "the place of who is cancelled is lost", "Line.leave", "self._places.remove(place)", "pass",
        _FLEET + "test_who_is_cancelled_while_it_waits_leaves_its_place_to_the_next",
    ),
    mutant(
        "anthropic's reset by our clock", "told._until",
        "parsedate_to_datetime(headers[\"date\"]) if \"date\" in headers else datetime.now(UTC)", "datetime.now(UTC)",
        "tests/worker/upstreams/test_told.py::test_anthropic_s_times_are_by_its_own_clock_and_the_scarcest_tokens_count",
    ),
    mutant(
        "who has another model waits for one that is overloaded", "_Notices.waits", "raise BreakerOpen", "pass",
        "tests/worker/generating/test_permits.py::test_who_has_another_model_does_not_wait_for_one_that_is_overloaded",
    ),
    mutant(
        "a breaker opens by refusals of the request", "permits.outcome_of", "if failure.answered:", "if False:",
        "tests/worker/generating/test_permits.py::test_what_a_failure_says_of_the_upstream",
    ),
)  # fmt: skip
