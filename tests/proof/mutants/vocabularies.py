"""The seeded bugs of OpenAI's Chat Completions: what is asked for in these words, and what is shown in them."""

from tests.proof.mutants.seeding import Mutant, mutant

_SHOWN = "tests/api/dialects/test_completions.py::"
_ASKED = "tests/api/intake/asked/test_completions.py::"
_WHOLE = _SHOWN + "test_the_chunks_come_to_the_whole"
_NOT_BACK = _SHOWN + "test_what_was_shown_is_never_taken_back_in_silence"
_REFUSED = _ASKED + "test_what_has_no_words_is_refused_by_its_place"

VOCABULARIES: tuple[Mutant, ...] = (
    mutant(
        "a completion is spliced with what was shown before a crash",
        "completions._begun", "if keep < said.shown:", "if False:", _NOT_BACK,
    ),
    mutant(
        "each attempt is a completion of its own",
        "completions._begun", "if said.head:", "if False:",
        _SHOWN + "test_every_chunk_has_one_id_one_time_and_one_model_and_the_first_has_the_role",
    ),
    mutant(
        "a call without input has no arguments",
        "completions._told", "if index in said.bare:", "if False:", _WHOLE,
    ),
    mutant(
        "calls that are written by turns are mixed up",
        "completions._opened", "call=said.calls.index(index)", "call=len(said.calls) - 1",
        _SHOWN + "test_calls_that_are_written_by_turns_stay_apart",
    ),
    mutant(
        "a prompt's tokens are counted without its cache",
        "counts", 'count("input_tokens") + read + written', 'count("input_tokens")',
        _SHOWN + "test_usage_is_a_chunk_without_choices_for_who_asked_for_it_and_the_last_one",
    ),
    mutant(
        "a field without words is left out",
        "asked.completions.asked", "given.only(*_KNOWN)", "pass", _REFUSED,
    ),
    mutant(
        "a system's message may be anywhere",
        "completions_messages.turns", "if found:", "if False:", _REFUSED,
    ),
    mutant(
        "results of tools are turns of their own",
        "completions_messages.add", "before += _blocks(said)", 'found.append({"role": "user", "content": said})',
        _ASKED + "test_results_of_tools_and_what_is_said_behind_them_are_one_turn",
    ),
)  # fmt: skip
