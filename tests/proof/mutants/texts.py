"""The seeded bugs of bare text, where a token is told in one step."""

from tests.proof.mutants.seeding import Mutant, mutant

_TEXT = "tests/api/dialects/test_text.py::"
_CHAT = "tests/api/dialects/test_chat.py::"

TEXTS: tuple[Mutant, ...] = (
    mutant(
        "a line end that is cut in two is two",
        "dialects.text.Text.fold", "value and not cr and", "value and",
        _TEXT + "test_a_line_end_that_is_cut_in_two_is_one",
    ),
    mutant(
        "what is kept of a text is told in bytes",
        "dialects.text.Text.fold", "len(value) if value.isascii() else len(value.decode())", "len(value)",
        _TEXT + "test_what_is_taken_back_is_told_in_characters_of_what_was_sent",
        _TEXT + "test_what_a_reader_has_appended_is_the_text_wherever_it_was_away",
    ),
    mutant(
        "lines of a text are fields of no name",
        "dialects.text.Text.fold", "value if LF not in value else in_data(value)", "value",
        _TEXT + "test_each_line_of_a_text_is_a_field_of_its_own",
    ),
    mutant(
        "a word that is JSON is sent as it is",
        "ChatText.fold", "and value.strip() not in _WORDS", "",
        _CHAT + "test_what_a_page_appends_that_reads_frames_is_the_text",
    ),
    mutant(
        "text overtakes a number that is held",
        "ChatText.fold", "not held and not long and", "not long and",
        _CHAT + "test_a_number_waits_for_the_text_behind_it_and_no_longer_than_to_the_end",
    ),
)  # fmt: skip
