"""Digests under the installation's secret: the same for the same, told to nobody who could guess."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.keyed import NO_SECRET, BadSecret, Keyed, kept, same

OLD, NEW = "o" * 32, "n" * 32
WORDS = st.text(max_size=20)


@given(owner=WORDS, other=WORDS, user=WORDS)
def test_a_user_has_one_name_for_each_tenant_and_secret(owner: str, other: str, user: str) -> None:
    keyed = Keyed.parsed(NEW)
    name = keyed.user(owner, user)
    assert name == keyed.user(owner, user) != user
    assert (keyed.user(other, user) == name) is (other == owner)
    assert Keyed.parsed(OLD).user(owner, user) != name
    assert name != kept(keyed.fingerprint(owner, user)), "a user's name is no body's digest"


def test_a_name_is_an_hmac_of_tenant_and_user() -> None:
    expected = hmac.new(NEW.encode(), b"respool\0user\0acme\0bob", hashlib.sha256).hexdigest()
    assert Keyed.parsed(NEW).user("acme", "bob") == expected
    assert NO_SECRET.user("acme", "bob") is None


def test_what_a_body_was_kept_under_before_the_secret_was_set_or_changed_is_known_again() -> None:
    digest = "d" * 64
    before, old, changed = (each.fingerprint("acme", digest) for each in (
        NO_SECRET, Keyed.parsed(OLD), Keyed.parsed(f"{NEW} {OLD}"),
    ))  # fmt: skip
    assert kept(before) == digest
    assert len({kept(before), kept(old), kept(changed)}) == 3
    assert all(same(kept(each), changed) for each in (before, old, changed))
    assert not same(kept(changed), old), "who has not the new secret does not know"
    assert not same(kept(old), Keyed.parsed(OLD).fingerprint("globex", digest))
    assert not same(digest[:-1], changed)


@pytest.mark.parametrize("text", ["short", f"{OLD},short", ",".join(f"{each}" * 32 for each in "abcde")])
def test_a_secret_that_is_too_short_or_one_too_many_is_refused_and_not_told(text: str) -> None:
    with pytest.raises(BadSecret) as caught:
        Keyed.parsed(text)
    assert "short" not in str(caught.value)
    assert OLD not in repr(Keyed.parsed(OLD))
