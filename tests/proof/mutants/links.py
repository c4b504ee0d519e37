"""The seeded bugs of view links, of what they withhold, and of streams that are counted and closed."""

from tests.proof.mutants.seeding import Mutant, mutant

_TOKENS = "tests/api/access/test_links.py::"
_LINKED = "tests/api/access/test_linked.py::"
_ROUTES = "tests/api/routes/test_view_links.py::"
_REDACTED = "tests/api/dialects/test_redacted.py::"
_ADMISSIONS = "tests/api/viewing/test_admissions.py::"
_LIMITED = "tests/api/routes/test_streams_limited.py::"
_PEERS = "tests/api/access/test_peers.py::"
_VIEWER = "tests/api/viewing/test_viewer.py::"
_NOT_OURS = _TOKENS + "test_what_is_not_wholly_ours_is_no_link"
_LISTED = _LINKED + "test_a_link_opens_nothing_but_what_is_listed"
_ENDS = _LINKED + "test_a_link_ends_to_the_second"
_VOID = _LINKED + "test_what_was_revoked_opens_nothing_and_what_is_open_does_not_hold"
_COOKIE = _LINKED + "test_a_cookie_counts_for_its_generation_and_where_nothing_else_says_who_asks"
_NO_BYTE = _REDACTED + "test_no_byte_that_is_withheld_is_in_a_frame_or_a_snapshot"
_HOLD = _ADMISSIONS + "test_limits_hold_whoever_comes_and_goes"
_SHUT = _VIEWER + "test_who_is_shut_out_gets_nothing_more_but_why_wherever_it_is"

LINKS: tuple[Mutant, ...] = (
    mutant(
        "a link may be signed otherwise",
        "Links._verified",
        "algorithms=[_ALGORITHM]",
        'algorithms=["HS256", "HS384", "HS512"]',
        _NOT_OURS,
    ),
    mutant(
        "a token for something else is a link",
        "Links._verified",
        "audience=_AUDIENCE",
        'audience=[_AUDIENCE, "respool:other"]',
        _NOT_OURS,
    ),
    mutant(
        "a token of any length is read",
        "Links.read",
        "if len(token) > _MOST_BYTES:",
        "if False:",
        _TOKENS + "test_a_token_that_is_too_long_costs_nothing",
    ),
    mutant(
        "tokens are remembered without a bound",
        "Links.read",
        "if len(self._known) > _MOST_KNOWN:",
        "if False:",
        _TOKENS + "test_what_was_read_is_remembered_and_no_more_than_so_many",
    ),
    mutant(
        "a link opens any route",
        "Linked._let_in",
        "if not _ANY.fullmatch(path) and path not in (SESSION, SOCKET):",
        "if False:",
        _LISTED,
    ),
    mutant("a link does not end", "Linked._let_in", "if link.expires_ms <= self._clock() * 1000:", "if False:", _ENDS),
    mutant("a stream outlives its link", "Linked.holds", "who.expires_ms > self._clock() * 1000", "True", _ENDS),
    mutant(
        "a revoked link opens", "Linked._let_in", "if self._revoked.has(link.generation, link.id):", "if False:", _VOID
    ),
    mutant("a revoked link's streams stay", "Linked.holds", "and not self._revoked.has(who.only, who.key)", "", _VOID),
    mutant("links that are made later are revoked too", "Revoked.has", ">= made_ms(link)", ">= 0", _VOID),
    mutant(
        "a link is not for its generation alone",
        "Linked._let_in",
        "only=link.generation",
        "only=None",
        _LINKED + "test_a_token_says_who_asks_wherever_it_stands",
    ),
    mutant(
        "a link that withholds shows all",
        "Linked._let_in",
        "redacted=link.redacted",
        "redacted=False",
        _LINKED + "test_a_token_says_who_asks_wherever_it_stands",
    ),
    mutant(
        "a token beside a header counts",
        "Linked.authenticate",
        "return TWICE if named or len(in_query) > 1 else",
        "return",
        _LINKED + "test_who_is_named_twice_is_nobody",
    ),
    mutant("a cookie goes before a header", "Linked.authenticate", "if not named and (link", "if (link", _COOKIE),
    mutant(
        "a cookie of one generation reads another",
        "Linked._in_cookie",
        "link is not None and link.generation.encode() == match[1]",
        "link is not None",
        _COOKIE,
    ),
    mutant(
        "whoever asks makes a link",
        "_owner",
        "(await service.visit(id_, who)).owner",
        "(await service.logs.visit(id_, None)).owner",
        _ROUTES + "test_who_may_not_see_a_generation_makes_no_link_to_it_and_revokes_none",
    ),
    mutant(
        "a link outlives the key that made it",
        "make",
        "ends_ms = min(ends_ms, who.expires_ms)",
        "pass",
        _ROUTES + "test_a_link_ends_with_the_key_that_made_it",
    ),
    mutant(
        "a key is exchanged for a cookie",
        "session",
        "if who.only is None or link is None or link.id != who.key:",
        "if False:",
        _ROUTES + "test_a_token_is_exchanged_for_a_cookie_that_reads_one_generation",
    ),
    mutant(
        "what was revoked is read from now on alone",
        "RevokedLinks.read",
        "await self._store.revoked(since)",
        "await self._store.revoked(now_ms + 1)",
        _ROUTES + "test_a_revocation_that_nobody_heard_of_is_read",
    ),
    mutant(
        "revocations are without a bound",
        "LinkStore.revoke",
        "raise StorageFull",
        "pass",
        _ROUTES + "test_what_was_revoked_is_remembered_for_longer_than_a_link_lives_and_is_bounded",
    ),
    mutant(
        "thinking is not withheld",
        "redacted_entry",
        "if kind not in (START, EVENT, WITHDRAW, END):",
        "if kind in (b'k', b'i'):\n        return entry\n    if kind not in (START, EVENT, WITHDRAW, END):",
        _NO_BYTE,
    ),
    mutant(
        "a tool's block is not withheld",
        "redaction._head",
        'if head.get("type") == "text" else {"type": WITHHELD}',
        "if True else {}",
        _REDACTED + "test_blocks_keep_their_numbers_and_say_that_they_are_withheld",
    ),
    mutant("an end tells the usage", "_what_is_shown", '"usage": None, "cost": None}', "**event}", _NO_BYTE),
    mutant(
        "a snapshot is not redacted", "Redacted.snapshot", "redacted_transcript(transcript)", "transcript", _NO_BYTE
    ),
    mutant(
        "a record is not redacted",
        "whole",
        "redacted_record(shown) if redacted else shown",
        "shown",
        _ROUTES + "test_what_is_withheld_is_in_no_answer",
    ),
    mutant(
        "what was produced is not redacted",
        "Service.whole",
        "produced_redacted if who.redacted else produced",
        "produced",
        _ROUTES + "test_what_is_withheld_is_in_no_answer",
    ),
    mutant(
        "a stream is not redacted",
        "view_of",
        "redacted(dialect) if who.redacted else dialect",
        "dialect",
        _ROUTES + "test_what_is_withheld_is_in_no_answer",
    ),
    mutant(
        "the quick way is not redacted",
        "FastPath.admit",
        "redacted(NATIVE) if who.redacted else NATIVE",
        "NATIVE",
        "tests/api/delivery/test_fast_path.py"
        "::test_a_link_has_the_quick_way_with_its_token_alone_and_is_shown_what_it_may_see",
    ),
    mutant(
        "a key has one stream more than it may",
        "Admissions.full",
        "len(standing.streams) >= limits.per_key",
        "len(standing.streams) > limits.per_key",
        _HOLD,
    ),
    mutant(
        "a generation has one stream more than it may",
        "Admissions.full",
        "self._generations[id_] >= limits.per_generation",
        "self._generations[id_] > limits.per_generation",
        _HOLD,
    ),
    mutant("who leaves makes no room", "Admissions.leave", "_less(self._generations, admission.id)", "pass", _HOLD),
    mutant(
        "a detached viewer is counted for ever",
        "Hub.detach",
        "self.admissions.leave(viewer.admission)",
        "pass",
        _LIMITED + "test_who_leaves_makes_room",
    ),
    mutant(
        "the quick way counts no streams",
        "Hub.knows",
        " or self.admissions.full(who, id_)",
        "",
        _LIMITED + "test_one_stream_too_many_is_refused_and_one_that_comes_back_is_sent_away",
    ),
    mutant(
        "a stream too many is refused behind its submit",
        "answered",
        "refuse_if_full(cells.admissions, who)",
        "pass",
        _LIMITED + "test_what_is_submitted_to_be_followed_is_refused_before_it_is_accepted",
    ),
    mutant(
        "what has ended is closed by nobody",
        "Admissions.review",
        "if ended or not holds(who):",
        "if ended:",
        _LIMITED + "test_an_open_stream_is_closed_when_its_key_has_ended_and_the_key_opens_no_other",
    ),
    mutant(
        "what expires is closed by nobody",
        "Admissions.review",
        "if ended or not holds(who):",
        "if not holds(who):",
        _ADMISSIONS + "test_all_streams_of_a_key_that_has_ended_are_closed_and_no_others",
    ),
    mutant(
        "who waits is not told that its key has ended",
        "wait_for_end",
        "if closed.is_set():",
        "if False:",
        _LIMITED + "test_who_waits_is_told_when_its_key_has_ended",
    ),
    mutant("who is shut out reads on", "Viewer._end_with", "self.withdraw()", "pass", _SHUT),
    mutant("who is shut out has a clean end", "Viewer._end_with", "self.drop()", "self.wake()", _SHUT),
    mutant("a frame is ended by another", "Viewer._end_with", "if not midway:", "if True:", _SHUT),
    mutant(
        "who takes nothing is waited for",
        "Viewer._end_with",
        "if blocked:",
        "if False:",
        _VIEWER + "test_who_is_shut_out_and_takes_nothing_is_not_waited_for",
    ),
    mutant(
        "a client tells its own address",
        "Peers.address",
        "for hop in reversed(hops[-_MOST_HOPS:]):",
        "for hop in hops[-_MOST_HOPS:]:",
        _PEERS + "test_the_address_is_the_last_that_no_trusted_proxy_has",
    ),
    mutant(
        "any peer is a proxy",
        "Peers.address",
        "if not self._trusted or not self._is_proxy(peer):",
        "if not self._trusted:",
        _PEERS + "test_the_address_is_the_last_that_no_trusted_proxy_has",
    ),
)
