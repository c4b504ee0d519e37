"""The seeded bugs of erasures and of the audit log: something stays, something comes back, or nobody is told."""

from tests.proof.mutants.seeding import Mutant, mutant

_ERASING = "tests/api/routes/test_erasing.py::"
_NOTHING = _ERASING + "test_nothing_stays_but_that_it_was_erased"
_ANOTHERS = _ERASING + "test_another_s_is_not_there_before_nor_after"
_LABELS = _ERASING + "test_by_label_those_go_that_have_it_and_no_others"
_KEPT = _ERASING + "test_what_an_api_keeps_goes_from_all_of_them"
_TOLD = "tests/system/test_erase.py::test_viewers_of_every_api_are_told_and_cut_and_the_upstream_is_closed"
_ARCHIVED = "tests/worker/test_archiver.py::test_of_what_is_erased_while_it_is_archived_nothing_stays"
_VERIFY = "tests/api/audit/test_verify.py::"
_CHANGED = _VERIFY + "test_what_was_changed_removed_or_put_elsewhere_is_named"
_JOURNAL = "tests/api/audit/test_journal.py::"
_NOTES = "tests/api/routes/test_auditing.py::"

ERASURES: tuple[Mutant, ...] = (
    mutant("an erasure leaves the log", "erase.lua", "KEYS[1], KEYS[2], KEYS[4]", "KEYS[1], KEYS[4]", _NOTHING),
    mutant(
        "what was erased is made again", "creating.lua", "then return 'erased' end", "then tombstone = nil end",
        _ERASING + "test_its_idempotency_key_makes_nothing_anew",
    ),
    mutant("what was erased is listed", "Erasing._clean_up", "await self._coordination.unlist([id_])", "pass", _NOTHING),
    mutant(
        "an erasure is noted by nobody", "Erasing.erase",
        "await erase_steps.look_in(id_, _CARE_MS).run(self._redis)", "pass",
        _ERASING + "test_what_was_begun_is_noted_before_anything_is_done",
    ),
    mutant(
        "an erasure is done once", "Erasing.complete", ' and erased.why != "erased"', "",
        _ERASING + "test_what_a_failover_brings_back_goes_again",
    ),
    mutant(
        "who archives what is erased leaves its object", "Archiver._see_to_generation", 'if outcome == "gone":', "if False:",
        _ARCHIVED,
    ),
    mutant(
        "who archives what is erased lists its object", "Archiver._see_to_generation",
        "if await self._logs.look(id_) is None:", "if False:", _ARCHIVED,
    ),
    mutant(
        "no other api is told", "Erasing._clean_up", "await erase_steps.tell([id_]).run(self._redis)", "pass", _KEPT
    ),
    mutant("pages of what was erased are kept", "Hub.erased", "self.pages.forget(id_)", "pass", _KEPT),
    mutant(
        "all are told that it was erased", "_theirs", "if not who.may_see(gone.owner, id_):", "if False:", _ANOTHERS
    ),
    mutant("anybody erases", "erasing.erase", "await service.refuse_unless_there(id_, who)", "pass", _ANOTHERS),
    mutant("viewers are told of another reason", "Viewer.erase", '"erased"', '"expired"', _TOLD),
    mutant("an erasure needs no label", "erase_all", "if not tags:", "if False:", _LABELS),
    mutant("a dry run erases", "erase_all", "if not dry_run:", "if True:", _LABELS),
    mutant("a line that was changed is taken", "verify._lines", "if not is_as_written(raw[:-1]):", "if False:", _CHANGED),
    mutant("a line may be missing", "verify._broken", "if line.seq > expected:", "if False:", _CHANGED),
    mutant(
        "what was seen elsewhere is not looked for", "_check_seen", "if seq not in there:", "if False:",
        _VERIFY + "test_lines_cut_off_the_end_are_missed_by_who_has_seen_them",
    ),
    mutant(
        "a full disk leaves half a line", "trail._write", "os.ftruncate(file, size)", "pass",
        _JOURNAL + "test_a_full_disk_is_waited_out_and_leaves_no_half_line",
    ),
    mutant(
        "views push out erasures", "FileJournal.note", "_MOST_AT_WILL if action in AT_WILL else MOST_WAITING",
        "_MOST_AT_WILL", _JOURNAL + "test_a_flood_of_views_is_counted_and_pushes_out_nothing_else",
    ),
    mutant(
        "the quick way in is not noted", "FastPath.admit", 'journal.note("view", who, id_)', "pass",
        "tests/api/delivery/test_fast_path.py::test_who_is_let_in_is_noted_and_where_nothing_can_be_noted_nobody_is",
    ),
    mutant(
        "a denial is not noted", "note_denial", "if is_denial(problem, about):", "if False:",
        _NOTES + "test_whoever_may_not_is_noted_with_why",
    ),
    mutant(
        "what cannot be noted is done", "Admission._ask", "if journal.refuses:", "if False:",
        _NOTES + "test_nothing_is_done_that_cannot_be_noted_where_it_must_be",
    ),
)  # fmt: skip
