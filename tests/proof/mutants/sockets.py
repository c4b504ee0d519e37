"""The seeded bugs of WebSockets: of what several viewers share, of messages, and of who may open one."""

from tests.proof.mutants.seeding import Mutant, mutant

_BUNDLE = "tests/api/viewing/test_bundle.py::"
_MESSAGES = "tests/api/dialects/test_as_messages.py::"
_SYSTEM = "tests/system/test_websocket.py::"
_ENDS = "tests/system/test_websocket_ends.py::"
_WHOLE = _BUNDLE + "test_each_generation_is_told_whole_and_in_its_order_whatever_the_connection_takes"
_KEY = _ENDS + "test_a_key_opens_one_in_a_header_or_a_subprotocol_and_its_end_closes_all_that_it_opened"
_LENGTHS = _MESSAGES + "test_messages_of_any_length_are_read_in_whatever_pieces_they_come"

SOCKETS: tuple[Mutant, ...] = (
    mutant(
        "others write in the middle of a frame", "Bundle.take", "self._pin(viewer if viewer.midway else None)", "pass",
        _WHOLE, _BUNDLE + "test_a_frame_in_parts_is_given_to_its_end_before_anybody_else_writes",
    ),
    mutant(
        "renditions write in the middle of a frame", "Bundle._pin",
        "self._lend(self._loan if viewer is None else None)", "pass",
        _BUNDLE + "test_a_frame_in_parts_is_given_to_its_end_before_anybody_else_writes",
    ),
    mutant(
        "half a frame is followed by others", "Bundle._conclude", "if viewer.midway:", "if False:",
        _BUNDLE + "test_one_that_is_shut_in_the_middle_of_a_frame_ends_the_connection",
    ),
    mutant(
        "answers gather without a bound", "Bundle.say", "if len(self._said) > MOST_SAID:", "if False:",
        _BUNDLE + "test_who_asks_much_and_reads_nothing_is_cut_off",
    ),
    mutant(
        "who leaves is told of no place", "Bundle.settle", "None if place == BEGINNING else place", "None",
        _WHOLE, _BUNDLE + "test_who_is_asked_to_leave_says_where_it_was_and_nothing_behind_it",
    ),
    mutant("a length has two bytes too late", "websocket.head", "if size < _SHORT:", "if size <= _SHORT:", _LENGTHS),
    mutant("a long message has a short head", "websocket.head", "if size < _MEDIUM:", "if size <= _MEDIUM:", _LENGTHS),
    mutant(
        "a page of any origin opens a WebSocket", "Guard.__call__",
        'refused = self._origins.refusal(SOCKET, scope["path"], scope["headers"])', "refused = None",
        _SYSTEM + "test_pages_of_other_origins_open_none_and_own_ones_do",
    ),
    mutant(
        "a subprotocol does not say who asks", "Admission._ask", "headers = with_subprotocols(headers)", "pass", _KEY,
    ),
    mutant(
        "a connection outlives what let it in", "Conversation._shut", "self._socket.close(POLICY, reason)", "pass", _KEY,
    ),
)  # fmt: skip
