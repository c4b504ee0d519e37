"""The seeded bugs of what is sealed, and of what a log is told: each would show somebody what is not theirs to read."""

from tests.proof.mutants.seeding import Mutant, mutant

_SEALING = "tests/broker/test_sealing.py::"
_SUBMITS = "tests/broker/store/test_sealed_submits.py::"
_WRITER = "tests/worker/log/test_writer.py::"

PAYLOADS: tuple[Mutant, ...] = (
    mutant(
        "sealed chunks are not counted", "append.lua", " and kind ~= 'T'", "",
        "tests/broker/store/test_lua.py::test_sealed_chunks_count_as_chunks_and_other_sealed_entries_do_not",
    ),
    mutant(
        "a sealed entry opens as another kind", "Seal.__init__", 'b"%b %b" % (id_bytes, plain)', "id_bytes",
        _SEALING + "test_an_entry_that_was_moved_changed_or_cut_does_not_open",
    ),
    mutant(
        "a nonce for two entries", "AttemptSeal.sealed", "nonce += 1", "",
        _SEALING + "test_entries_open_as_what_they_were_and_show_nothing_but_their_kind_and_length",
    ),
    mutant(
        "a seq is sealed twice", "AttemptSeal.sealed", "if first <= self._through:", "if False:",
        _SEALING + "test_a_seq_is_sealed_once",
        _WRITER + "test_what_nobody_can_write_any_more_is_dropped_whole_and_no_seq_of_it_is_sealed_again",
    ),
    mutant(
        "other bytes under an id that was sent", "Writer.drop_unwritten", "if not self.writable:", "if True:",
        _WRITER + "test_what_was_sent_stays_when_the_rest_is_dropped_for_it_may_be_in_the_log",
    ),
    mutant(
        "what is sent again is sealed again", "Writer.batch", "self._sent = len(batch)", "",
        _WRITER + "test_an_id_that_was_sent_sealed_is_sent_with_the_same_bytes_for_ever",
    ),
    mutant(
        "a plain entry among sealed ones is shown", "Seal._contents", "if nonce & _SEQS:", "if False:",
        _SEALING + "test_an_entry_that_was_moved_changed_or_cut_does_not_open",
    ),
    mutant(
        "a request is stored plain", "Submissions._stored",
        "stored if key is None else key.seal.sealed_request(stored)", "stored",
        _SUBMITS + "test_a_request_is_stored_sealed_and_read_as_it_was",
    ),
    mutant(
        "the key of a repeated submit takes the place of the first", "Submissions._accept",
        "if created:", "self._keep(id_, key)\n                if created:",
        _SUBMITS + "test_a_repeated_submit_has_the_key_of_the_first",
    ),
    mutant(
        "the archive has the wrapped key", "packing._kept", 'if name != b"sealed"', "",
        "tests/broker/test_packing.py::test_an_object_has_no_data_key",
    ),
    mutant(
        "what was wrapped for one generation opens another", "TenantKeys._cipher", "{tenant} {generation}", "",
        "tests/broker/test_tenant_keys.py::test_what_was_wrapped_for_one_generation_or_tenant_opens_for_no_other",
    ),
    mutant(
        "another key under the same name is taken", "KeyProof.__call__",
        "if found is None or found.decode() != check:", "if False:",
        _SUBMITS + "test_nothing_is_accepted_with_another_key_under_the_same_name",
    ),
    mutant(
        "an exception is told with its words", "journal._traced", '{number}"', '{number} {error}"',
        "tests/broker/test_journal.py::test_an_exception_is_told_by_its_class_and_where_it_was_raised_and_never_by_what_it_says",
    ),
)  # fmt: skip
