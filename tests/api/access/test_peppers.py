"""What keys are hashed with, and how one secret is changed for another."""

import pytest

from api.access.api_keys import new_key
from api.access.peppers import peppers_of

OLD, NEW = "a:" + "0" * 32, "b:" + "1" * 32


def test_a_key_is_hashed_with_the_first_and_understood_with_any() -> None:
    key, other = new_key(), new_key()
    old, both, new = peppers_of(OLD), peppers_of(f"{NEW}, {OLD}"), peppers_of(NEW)
    digest = old.digest(key)
    assert len(digest) == 64
    assert digest not in (old.digest(other), new.digest(key))
    assert (old.newest, both.newest) == ("a", "b")
    assert both.digest(key) == new.digest(key)
    assert both.matches(key, "a", digest)
    assert both.matches(key, "b", new.digest(key))
    assert not both.matches(other, "a", digest)
    assert not both.matches(key, "b", digest)
    assert not new.matches(key, "a", digest), "its pepper is not known there"
    assert "a" in both
    assert "a" not in new


@pytest.mark.parametrize(
    "text", ["", " , ", "0" * 40, "a:" + "0" * 31, "A:" + "0" * 32, f"{OLD} a:{'2' * 32}", "a:" + "é" * 32]
)
def test_what_is_no_pepper_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        peppers_of(text)
    assert "000" not in str(refused.value)
    assert "222" not in str(refused.value)
