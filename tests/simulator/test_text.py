"""The text itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.simulator.text import after, banner, markdown, tokenize, until


@given(st.text())
def test_tokens_are_never_empty_and_joined_are_the_text(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(tokens) == text
    assert all(tokens)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 31, 120, 333])
@pytest.mark.parametrize("seed", [0, 7, 2**63])
def test_a_text_has_exactly_the_tokens_asked_for_and_closes_its_fences(seed: int, count: int) -> None:
    tokens = markdown(seed, count)
    assert len(tokens) == count
    assert all(tokens)
    assert "".join(tokens).count("```") % 2 == 0


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    first = markdown(7, 120)
    markdown.cache_clear()
    assert markdown(7, 120) == first
    assert markdown(8, 120) != first


@pytest.mark.parametrize("seed", range(20))
def test_a_text_of_the_default_length_holds_what_breaks_careless_code(seed: int) -> None:
    text = "".join(markdown(seed, 120))
    assert text.startswith("# ")
    assert "\n- " in text
    assert "```" in text
    assert "\u2028" in text
    assert "e\u0301" in text
    assert any("\u3040" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af" for char in text)
    assert any(char > "\U0001f000" for char in text)


def test_the_banner_names_the_model_without_its_parameters() -> None:
    text = "".join(banner("claude-opus-5-5?tps=1"))
    assert text.startswith("> **Simulated answer.**")
    assert "`claude-opus-5-5`" in text


@given(st.text(max_size=60), st.integers(0, 70))
def test_before_and_after_a_place_are_the_whole(text: str, chars: int) -> None:
    tokens = tokenize(text)
    assert "".join(until(tokens, chars)) == text[:chars]
    assert "".join(after(tokens, chars)) == text[chars:]
