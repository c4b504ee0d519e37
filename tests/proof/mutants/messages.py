"""The seeded bugs of Anthropic's Messages."""

from tests.proof.mutants.seeding import Mutant, mutant

_FOLD = "tests/api/dialects/test_messages.py::"
_ASKED = "tests/api/intake/asked/test_messages.py::"
_SHAPES = "tests/api/intake/test_shapes.py::"

MESSAGES: tuple[Mutant, ...] = (
    mutant(
        "what was taken back is spliced", "messages._event", "if keep < told.blocks:", "if False:",
        _FOLD + "test_what_was_shown_and_is_taken_back_ends_in_an_error_and_nothing_is_spliced",
    ),
    mutant(
        "what follows an error is shown", "AnthropicMessages.fold", "is not None and not broken:", "is not None:",
        _FOLD + "test_what_was_shown_and_is_taken_back_ends_in_an_error_and_nothing_is_spliced",
    ),
    mutant(
        "a message begins twice", "messages._event", "if not told.begun:", "if True:",
        _FOLD + "test_an_answer_that_goes_on_is_one_message_and_one_block",
    ),
    mutant(
        "a block that goes on is opened again", "messages._event", "if index < told.blocks:", "if False:",
        _FOLD + "test_an_answer_that_goes_on_is_one_message_and_one_block",
    ),
    mutant(
        "null takes a figure away", "said_at_end", "elif value is not None or name not in merged:", "else:",
        _FOLD + "test_what_an_upstream_says_at_its_end_in_parts_is_one",
    ),
    mutant(
        "betas are dropped", "from_messages", '{**body, "betas": betas} if betas else body', "body",
        _ASKED + "test_betas_are_a_part_of_the_request",
    ),
    mutant(
        "any version is taken", "betas_of", "not in VERSIONS:", "== '':",
        _ASKED + "test_a_header_that_would_have_to_be_passed_on_and_is_not_is_refused_by_name",
    ),
    mutant(
        "an SDK repeats what cannot fare better", "shapes._retried", ' if "Retry-After" in problem.headers else "false"', "",
        _SHAPES + "test_an_sdk_repeats_what_may_fare_better_and_nothing_else",
    ),
)  # fmt: skip
