"""The seeded bugs of OpenAI's Responses: what is said of a log in their words, and how a request in their words is read."""

from tests.proof.mutants.seeding import Mutant, mutant

_FOLD = "tests/api/dialects/test_responses.py::"
_NUMBERED = "tests/api/viewing/test_numbered.py::"
_ASKED = "tests/api/intake/asked/test_responses.py::"
_OPENAI = "tests/api/intake/asked/test_openai.py::"
_TYPES = _FOLD + "test_events_are_of_the_sdks_types_and_numbered_without_holes"
_REST = _NUMBERED + "test_whichever_event_was_had_last_the_rest_follows_without_a_hole"
_UNSAID = _ASKED + "test_what_cannot_be_said_is_named"

RESPONSES: tuple[Mutant, ...] = (
    mutant("a number is left out", "responses.fold._numbered", "said.number + len(events)", "said.number + 1", _TYPES),
    mutant(
        "a piece has no number of its own", "Responses.fold", "                number += 1", "                pass", _TYPES
    ),
    mutant(
        "what was shown is spliced with what is shown now",
        "responses.said.kept",
        "broken = said.broken or any(item.kind for item in dropped)",
        "broken = said.broken",
        _FOLD + "test_an_attempt_that_takes_back_what_was_shown_is_an_error_and_nothing_else_is_said",
    ),
    mutant(
        "a text that goes on after a crash is another item",
        "responses.said.block_started",
        "if index < len(said.items):",
        "if index < 0:",
        _FOLD + "test_an_attempt_that_goes_on_with_the_text_opens_no_second_item",
    ),
    mutant(
        "a call that the server has made is the client's",
        "responses.items._kind",
        'return "mcp_call" if of_the_server else "function_call"',
        'return "function_call"',
        _FOLD + "test_a_call_that_the_server_makes_is_none_that_a_client_would_make",
    ),
    mutant(
        "what was withdrawn is in the response",
        "Responses._other",
        "return Said(said.number, begun=said.begun), b\"\"",
        "return said, b\"\"",
        _FOLD + "test_what_was_withdrawn_is_in_no_response",
    ),
    mutant(
        "a part of an event that is cut off is given once more",
        "borders._placed",
        "events[len(events) - more :]",
        "events",
        _REST,
    ),
    mutant(
        "a reader goes on an event too late",
        "borders._placed",
        "more = dialect.count(state) - had",
        "more = max(0, dialect.count(state) - had - 1)",
        _REST,
    ),
    mutant(
        "states that hold texts have no bound",
        "Borders.note",
        "sum(self._bytes.values()) > _MOST_BYTES",
        "False",
        _NUMBERED + "test_states_that_hold_texts_are_bounded",
    ),
    mutant(
        "what has no words is left out", "Given.only", "raise self.at(name).unsupported()", "continue", _UNSAID,
        _OPENAI + "test_what_cannot_be_said_is_named",
    ),
    mutant(
        "what the developer says first is no system prompt",
        "responses_input._SYSTEM",
        '("system", "developer")',
        '("system",)',
        _ASKED + "test_what_the_developer_says_first_is_the_system_prompt",
    ),
    mutant(
        "calls go side by side that may not",
        "openai.tool_choice",
        'if one_by_one and word != "none":',
        "if False:",
        _OPENAI + "test_a_tool_choice",
    ),
    mutant(
        "thinking that nobody signed is said to have been",
        "responses._as_said",
        'case {"type": "thinking", "signature": str(signature)} if signature:',
        'case {"type": "thinking"}:',
        _ASKED + "test_it_goes_on_from_an_earlier_response",
    ),
)  # fmt: skip
