"""What a model, a submitter or an upstream may say, in every dialect, as somebody else's reader of server-sent events sees it:
no text makes an event, ends one, or changes what another one says."""

from collections.abc import Sequence
from typing import Final

import orjson
import pytest
from anthropic._streaming import SSEDecoder
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.dialects.native import NATIVE
from api.dialects.text import TEXT_VIEW
from broker.events import END, START, TEXT, THINKING, TOOL_INPUT, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript

PIECES: Final = st.one_of(
    st.sampled_from('\r\n\0\u0085\u2028\u2029\ufeff:{}[]"\\ '),
    st.sampled_from(
        (
            "\r\n",
            "data: x",
            "\n\ndata: {}\n\n",
            "event: end\n",
            "id: 9-9\n",
            "retry: 1\n",
            ": ka\n",
            "[DONE]",
            "\r\rid: 1\r",
        )
    ),
    st.characters(exclude_categories=["Cs"]),
)
SAID: Final = st.lists(PIECES, min_size=1, max_size=20).map("".join)
IN_JSON: Final[Sequence[Dialect]] = (NATIVE, CHAT_FORM)
ALL: Final[Sequence[Dialect]] = (*IN_JSON, TEXT_VIEW, CHAT_TEXT)
VALUES: Final = {TEXT: "text", THINKING: "thinking", TOOL_INPUT: "partial_json"}


def log_of(said: Sequence[str], kinds: Sequence[bytes]) -> list[Entry]:
    """An attempt that says all of it, and fails with the last of it as its message."""
    contents: list[tuple[bytes, bytes]] = [
        (START, event("stream_start", keep_blocks=0, labels={"user": said[0]}).value)
    ]
    contents.append(event("block_start", index=0, block={"type": "text", "text": ""}))
    contents += [(kind, each.encode()) for kind, each in zip(kinds, said, strict=False)]
    contents.append(event("upstream", event={"type": "odd", "said": said[-1]}))
    entries = [Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate(contents)]
    end = event("error", code="upstream_error", message=said[-1], status=502).value
    return [*entries, Entry(EntryId(8, 0), END, end)]


def read(frames: bytes) -> list[tuple[str | None, str, str | None]]:
    """Name, data and id of each event that a reader finds which knows nothing of us."""
    return [(found.event, found.data, found.id) for found in SSEDecoder().iter_bytes(iter([frames])) if found.data]


@pytest.mark.parametrize("dialect", IN_JSON, ids=lambda each: type(each).__name__)
@settings(deadline=None)
@given(st.lists(SAID, min_size=1, max_size=6), st.data())
def test_each_entry_is_one_event_that_says_what_was_said(
    dialect: Dialect, said: list[str], data: st.DataObject
) -> None:
    kinds = [data.draw(st.sampled_from(list(VALUES))) for _ in said]
    log = log_of(said, kinds)
    found = read(b"".join(dialect.fold(dialect.begin, log)[1]))
    assert [name for name, _, _ in found] == [None] * len(log)
    events = [orjson.loads(each) for _, each, _ in found]
    assert events[0]["labels"] == {"user": said[0]}
    assert [each[VALUES[kind]] for kind, each in zip(kinds, events[2:], strict=False)] == said
    assert events[-2]["event"]["said"] == events[-1]["message"] == said[-1]


@pytest.mark.parametrize("dialect", ALL, ids=lambda each: type(each).__name__)
@settings(deadline=None)
@given(st.lists(SAID, min_size=1, max_size=6))
def test_nothing_that_is_said_names_an_event_or_a_cursor(dialect: Dialect, said: list[str]) -> None:
    log = log_of(said, [TEXT] * len(said))
    found = read(b"".join(dialect.fold(dialect.begin, log)[1]))
    assert {name for name, _, _ in found} <= {None, "end", "discard"}
    assert {id_ for _, _, id_ in found if id_} <= {str(entry.id) for entry in log}


@settings(deadline=None)
@given(st.lists(SAID, min_size=1, max_size=6))
def test_bare_text_is_all_of_it_with_one_kind_of_line_end(said: list[str]) -> None:
    log = log_of(said, [TEXT] * len(said))
    found = read(b"".join(TEXT_VIEW.fold(TEXT_VIEW.begin, log)[1]))
    text = "".join(data for name, data, _ in found if name is None)
    whole = "".join(said).replace("\r\n", "\n").replace("\r", "\n")
    # A text that is nothing but a line end is an event without data, which readers do not tell of.
    assert text.replace("\n", "") == whole.replace("\n", "")


@settings(deadline=None)
@given(st.lists(SAID, min_size=1, max_size=6), st.sampled_from(IN_JSON))
def test_a_snapshot_is_one_event_with_all_of_it(said: list[str], dialect: Dialect) -> None:
    log = log_of(said, [TEXT] * len(said))
    ((name, data, _),) = read(b"".join(dialect.snapshot(Transcript(log))))
    assert name is None
    assert orjson.loads(data)["text"] == "".join(said)
