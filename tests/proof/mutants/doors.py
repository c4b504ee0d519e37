"""The seeded bugs of who may do what: each drops a check between somebody who asks and what is not theirs."""

from tests.proof.mutants.seeding import Edit, Mutant, mutant

_ACCESS = "tests/api/access/test_gate.py::"
_RING = "tests/api/keys/test_ring.py::"
_ISSUING = "tests/api/keys/test_issuing.py::"
_NOBODY = _ACCESS + "test_no_route_is_open_to_whom_the_policy_refuses_but_those_that_say_nothing"
_ANOTHERS = _ACCESS + "test_what_is_somebody_elses_does_not_exist"
_FORGED = _RING + "test_a_key_is_looked_up_once_and_then_known"
_ENDED = _RING + "test_a_key_that_ends_is_refused_at_the_next_look_and_says_why"
_SCOPES = _ACCESS + "test_a_route_needs_what_it_says_it_needs_and_says_what_is_missing"
_VIEWS = _ACCESS + "test_the_quick_way_in_and_streams_of_what_is_submitted_are_for_who_may_view"
_TICKS = "tests/api/viewing/test_hub_ticks.py::"

DOORS: tuple[Mutant, ...] = (
    mutant("a request is routed whoever asks", "Admission._ask", "return refused",
           "from api.access.gate import ANONYMOUS as who", _NOBODY),
    mutant(
        "all paths are open", "Admission.__call__", 'and scope["path"] not in OPEN', "and False",
        _ACCESS + "test_no_route_is_open_to_whom_the_policy_refuses_but_those_that_say_nothing",
    ),
    mutant(
        "what is everybody's is shut", "Admission.__call__", 'and scope["path"] not in OPEN', "",
        _NOBODY,
    ),
    mutant("a tenant sees another's", "Principal.may_see", "owner == self.owner", "True", _ANOTHERS),
    mutant(
        "the one of a link is any", "Principal.may_see", "self.only == id_", "True",
        _ACCESS + "test_who_sees_all_sees_what_is_anybodys",
    ),
    mutant("no scope is needed", "Principal.refuse_without", "if scope not in self.scopes:", "if False:", _SCOPES),
    mutant("the quick way needs no scope", "FastPath.admit", '"view" not in who.scopes', "False", _VIEWS),
    mutant(
        "a stream of what is submitted needs no scope", "answered", 'who.refuse_without("view")', "pass", _VIEWS
    ),
    mutant(
        "a viewer is attached to what is not there for it", "Hub.attach", "raise UnknownGeneration", "pass",
        _TICKS + "test_nobody_is_attached_to_what_is_not_there_for_it",
    ),
    Mutant(
        "a stream is anybody's",
        (
            Edit("Service.visit", "if not who.may_see(visit.owner, id_):", "if False:"),
            Edit("Hub.attach", "raise UnknownGeneration", "pass"),
        ),
        (_ANOTHERS,),
    ),
    mutant("a record is anybody's", "Service._when_safe", "if not who.may_see(record.owner, id_):", "if False:", _ANOTHERS),
    mutant("anybody cancels", "Service.refuse_unless_seen", "if not (who.sees_all", "if False and (who.sees_all", _ANOTHERS),
    mutant(
        "a key in two headers is one", "credential", "return SAID_TWICE if named or in_query else NOBODY",
        "return _in_header(*named[0]) if named else NOBODY",
        "tests/api/access/test_credentials.py::test_whatever_names_somebody_twice_names_nobody",
    ),
    mutant(
        "a key's secret is not looked at", "Ring.check",
        "if not self._peppers.matches(key, record.pepper, record.digest):", "if False:", _FORGED,
    ),
    mutant("a revoked key opens", "Ring._verdict", "if record.revoked_ms is not None:", "if False:", _ENDED),
    mutant(
        "an expired key opens", "Ring._verdict",
        "if record.expires_ms is not None and record.expires_ms <= self.now_ms():", "if False:", _ENDED,
    ),
    mutant(
        "a mistyped key is looked up", "read_key", 'if b"%08x" % zlib.crc32(match[1]) == match[3] else None', "",
        "tests/api/access/test_api_keys.py::test_a_key_with_one_character_wrong_is_none",
    ),
    mutant(
        "a key is trusted for ever", "Ring.check", "if known.seen < time.monotonic() - TRUSTED_SECONDS:", "if False:",
        _RING + "test_what_is_known_is_taken_for_an_hour_while_redis_is_away",
    ),
    mutant(
        "what is recalled is any key of that id", "Ring.recall", "or not compare_digest(known.proof, _proof(text))", "",
        _RING + "test_a_key_that_was_right_is_recalled_whole_and_ends_as_any",
    ),
    mutant(
        "unknown keys fill memory", "Ring._fetch", "while len(self._unknown) > _MOST_UNKNOWN:", "while False:",
        _RING + "test_a_flood_of_unknown_keys_fills_neither_memory_nor_redis",
    ),
    mutant(
        "keys are never read again", "Ring.refresh", "await self._fetch(ids[at : at + _PAGE])", "pass",
        _RING + "test_a_key_that_ends_is_refused_at_the_next_look_and_says_why",
    ),
    mutant(
        "one address asks without end", "LookUps.look_up", "self._waiting[address] >= _MOST_OF_ADDRESS or ", "",
        _RING + "test_one_question_is_under_way_at_a_time_whoever_asks_how_often",
    ),
    mutant(
        "a later change undoes a revocation", "key_keep.lua",
        "or ends_later(new['revoked_ms'], before['revoked_ms'])", "",
        _ISSUING + "test_what_is_not_live_is_not_rotated_and_what_is_revoked_stays_so",
    ),
    mutant(
        "a cell that was away brings a key back", "agreed_on",
        "if (newest.expires_ms, newest.revoked_ms) == (expires_ms, revoked_ms):", "if True:",
        _ISSUING + "test_what_is_right_has_every_end_and_is_as_late_as_any",
    ),
    mutant(
        "a tenant has any number of keys", "Issuer.create", "self._store.keep(record, now_ms, MOST_LIVE)",
        "self._store.keep(record, now_ms)",
        _ISSUING + "test_a_tenant_has_no_more_live_keys_than_it_may_however_many_race",
    ),
    mutant(
        "a key is kept as it is", "Peppers._digest", 'hmac.digest(secret, key.text, "sha256").hex()', "key.text.decode()",
        _ISSUING + "test_of_a_key_only_its_hash_is_kept",
    ),
    mutant(
        "who finds a server open keeps a key", "_issuer", "or not who.key", "",
        "tests/api/routes/test_admin_keys.py::test_who_finds_a_server_open_can_keep_no_key",
    ),
    mutant(
        "an API that others reach asks nobody", "ApiSettings._nobody_is_let_in_by_mistake",
        "if not (self.asks_for_keys or self.allow_anonymous or is_loopback(self.host)):", "if False:",
        "tests/api/test_settings.py::test_nobody_is_let_in_by_mistake",
    ),
)  # fmt: skip
