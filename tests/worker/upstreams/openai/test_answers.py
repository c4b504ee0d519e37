"""What the simulator says in either of OpenAI's APIs as entries: the same blocks as of Messages, wherever the bytes are cut."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.events import Content
from tests.worker.upstreams.openai.played import body, content, scene, shown, streamed, translated, whole
from worker.upstreams import UpstreamFailure
from worker.upstreams.malformed import MalformedEvent

RICH = "sim-1?tokens=60&seed=7&thinking=1&tool=look&citations=1"


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_text_thinking_and_a_call_become_the_blocks_of_messages(api: str) -> None:
    of = scene(api, body(RICH))
    contents, translator = translated(api, streamed(api, of))
    thinking, text, tool = content(contents)
    said = {block.kind: "".join(block.tokens) for block in of.answer.blocks}
    assert (thinking["type"], thinking["thinking"]) == ("thinking", said["thinking"])
    assert (text["type"], text["text"]) == ("text", said["text"])
    assert (tool["type"], tool["name"], tool["input"]) == ("tool_use", "look", orjson.loads(said["tool"]))
    assert str(tool["id"]).startswith("call_")
    assert len(text["citations"]) == 6  # type: ignore[arg-type]
    assert (translator.stop_reason, translator.stopped) == ("tool_use", True)
    assert translator.usage == {
        "input_tokens": of.asked.input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": of.answer.output_tokens, "reasoning_tokens": len(of.answer.blocks[0].tokens),
    }  # fmt: skip
    if api == "responses":
        assert thinking["signature"] == f"sim-encrypted-{len(of.answer.blocks[0].tokens)}"
        assert str(thinking["id"]).startswith("rs_")


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_each_token_is_one_entry_and_nothing_is_left_over(api: str) -> None:
    of = scene(api, body(RICH))
    contents, _ = translated(api, streamed(api, of))
    tokens = [token for block in of.answer.blocks for token in block.tokens if token]
    assert [value.decode() for kind, value in contents if kind != b"j"] == tokens
    types = [type_ for type_, _ in shown(contents) if len(type_) > 1]
    assert types[0] == "message"
    assert types[-1] == "usage"
    assert "upstream" not in types


@pytest.mark.parametrize("api", ["responses", "chat"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_wherever_the_bytes_are_cut_the_entries_are_the_same(api: str, data: st.DataObject) -> None:
    tokens = data.draw(st.integers(1, 30))
    more = data.draw(st.sampled_from(["", "&thinking=1", "&tool=x", "&citations=1", "&thinking=1&tool=x"]))
    stream = streamed(api, of := scene(api, body(f"sim-1?tokens={tokens}&seed={tokens}{more}")))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=15)))
    parts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    cut, translator = translated(api, *parts)
    assert cut == translated(api, stream)[0]
    assert translator.stopped
    text = "".join(token for block in of.answer.blocks if block.kind == "text" for token in block.tokens)
    assert b"".join(value for kind, value in cut if kind == b"t").decode() == text


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_answer_without_its_end_is_never_whole(api: str) -> None:
    stream = streamed(api, scene(api, body("sim-1?tokens=20")))
    end = stream.index(b"event: response.completed" if api == "responses" else b'"finish_reason":"stop"')
    contents, translator = translated(api, stream[:end])
    assert (translator.stopped, translator.stop_reason) == (False, None)
    assert shown(contents)[-1][0] != "usage"


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_answer_that_is_not_streamed_has_the_same_blocks_in_one_entry_each(api: str) -> None:
    of = scene(api, body(RICH.replace("&citations=1", "")), stream=False)
    _, translator = translated(api)
    contents = translator.whole(whole(api, of))
    assert content(contents) == content(translated(api, streamed(api, of))[0])
    assert [kind for kind, _ in contents if kind != b"j"] == [b"k", b"t", b"i"]
    assert (translator.stop_reason, translator.stopped) == ("tool_use", True)


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_one_that_is_cut_by_its_length_says_so(api: str) -> None:
    of = scene(api, body("sim-1?tokens=20", max_tokens=16))
    contents, translator = translated(api, streamed(api, of))
    assert (translator.stop_reason, translator.stopped) == ("max_tokens", True)
    assert [kind for kind, _ in contents].count(b"t") == 16


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_answer_goes_on_with_the_last_block_that_was_kept(api: str) -> None:
    contents, _ = translated(api, streamed(api, scene(api, body("sim-1?tokens=3"))), keep_blocks=2)
    assert ("block_start", {"index": 1, "block": {"type": "text", "text": ""}}) in shown(contents)
    contents, _ = translated(api, streamed(api, scene(api, body("sim-1?tokens=3"))), keep_blocks=2, new_turn=True)
    assert ("block_start", {"index": 2, "block": {"type": "text", "text": ""}}) in shown(contents), "behind whole turns"


@pytest.mark.parametrize("api", ["responses", "chat"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_sent_gives_entries_or_a_failure_with_a_name(api: str, data: st.DataObject) -> None:
    """A frame of the real stream with a value replaced somewhere."""
    stream = streamed(api, scene(api, body("sim-1?tokens=4&thinking=1&tool=x")))
    frames = [
        text for line in stream.split(b"\n") if (text := line.removeprefix(b"data: ")) != line and text != b"[DONE]"
    ]
    odd: st.SearchStrategy[object] = st.sampled_from([None, 7, "x", [], {}, [{}], True, {"type": "x"}])
    _, translator = translated(api)
    for text in frames:
        event = orjson.loads(text)
        if data.draw(st.integers(0, 3)) == 0:
            event[data.draw(st.sampled_from(sorted(event)))] = data.draw(odd)
        try:
            found: list[Content] = translator.feed(event)
        except MalformedEvent as failure:
            assert failure.begun  # noqa: PT017 - one of two
            return
        except UpstreamFailure:
            return
        assert all(isinstance(each, Content) for each in found)
        if translator.stopped:
            return
