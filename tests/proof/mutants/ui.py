"""The seeded bugs of the AI SDK's vocabulary: of its chunks, of what is asked in it, of its routes."""

from tests.proof.mutants.seeding import Mutant, mutant

_FOLD = "tests/api/dialects/test_ui.py::"
_ASKED = "tests/api/intake/asked/test_ui.py::"
_ROUTES = "tests/system/test_ui_chat.py::"
_UNDONE = _FOLD + "test_what_begins_anew_is_undone_where_that_can_be_and_is_an_error_where_not"
_TOOLS = _FOLD + "test_a_client_is_told_to_run_a_tool_when_the_answer_is_complete_and_never_one_that_the_server_runs"
_NUMBER = _ROUTES + "test_chunks_are_found_by_their_number_from_either_end"

UI: tuple[Mutant, ...] = (
    mutant(
        "a delta is not counted", "Ui.fold", "chunks += 1\n", "pass\n", _FOLD + "test_chunks_are_counted_one_by_one"
    ),
    mutant(
        "what was shown in an earlier step is taken for undone",
        "ui.said._taken_back",
        "    if keep < said.before:\n",
        "    if False:\n",
        _UNDONE,
    ),
    mutant(
        "text that is kept beside what is not is no error",
        "ui.said._taken_back",
        'if any(part.fate in ("", "ready") for part in dropped):',
        "if False:",
        _UNDONE,
    ),
    mutant(
        "a client is told to run what the server runs",
        "ui.said._run_here",
        "shown = _available(part, part.input, EXECUTED)",
        "shown = _available(part, part.input, {})",
        _TOOLS,
    ),
    mutant(
        "a client is told to run what was asked for by an answer that failed",
        "dialects.ui._end",
        'return [failed(end["code"], end["message"])]',
        'return [*handed_over(said), failed(end["code"], end["message"])]',
        _TOOLS,
    ),
    mutant(
        "what is withdrawn stays",
        "ui.said.withdrawn",
        'undone = NOT_UNDONE if said.before else chunk("reset-step")',
        'undone = chunk("finish-step")',
        _FOLD + "test_what_is_withdrawn_is_undone_and_the_end_is_an_error",
    ),
    mutant(
        "a place in the queue is a chunk",
        "Ui.drain",
        'return b""',
        'return chunk("data-drain", data=None)',
        _FOLD + "test_nothing_is_said_that_is_of_the_connection_but_an_error",
    ),
    mutant(
        "what a tool came to stands in the model's own turn",
        "asked.ui_messages._of_assistant",
        "results += result",
        "said += result",
        _ASKED + "test_a_step_is_a_turn_of_the_model_and_what_its_calls_came_to_a_turn_of_the_user",
    ),
    mutant(
        "thinking goes back unsigned",
        "asked.ui_messages._thinking",
        "    if upstreams is None:\n        return []",
        '    if upstreams is None:\n        return [{"type": "thinking", "thinking": part.needed("text").text()}]',
        _ASKED + "test_thinking_goes_back_with_its_signature_and_not_without",
    ),
    mutant(
        "an answer is a message of its own behind results",
        "asked.ui.read",
        "if (own := _gone_on_with(messages)) is not None:",
        "if (own := None) is not None:",
        _ASKED + "test_an_answer_is_added_to_the_message_that_ends_with_results",
    ),
    mutant(
        "who has all of what has ended waits for a finish",
        "ui_chat._from_chunk",
        "        before = FINISH",
        '        before = b""',
        _NUMBER,
    ),
    mutant(
        "who has more than there is is told that it has all",
        "ui_chat._from_chunk",
        'return _at_once(UI.gap("rewound") + FINISH, headers)',
        "return _at_once(FINISH, headers)",
        _NUMBER,
    ),
)
