"""A view link's token: what it says, who believes it, and what is not taken for one."""

import base64
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.link_secrets import derived, link_secrets_of
from api.access.links import Link, Links, is_link_id, made_ms, new_link_id
from broker.ids import new_generation_id

SECRET, OTHER = b"s" * 32, b"o" * 32
MADE_MS = 1_796_000_000_123
LINK = Link(new_link_id(MADE_MS), "acme", new_generation_id(), True, MADE_MS // 1000 * 1000 + 900_000)


def parts(token: str) -> list[Any]:
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def token_of(head: dict[str, Any] | None = None, secret: bytes = SECRET, hash_: str = "sha256", **claims: Any) -> bytes:
    """Signed by hand: what no library would sign, too."""
    said = {
        "aud": "respool:view", "exp": 1_796_000_900, "jti": LINK.id, "gen": LINK.generation, "own": "acme", "red": False,
    }  # fmt: skip
    told = {name: value for name, value in {**said, **claims}.items() if value is not None}
    head = {"alg": f"HS{hash_[3:]}", **({"kid": "a"} if head is None else head)}
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (head, told))
    return signed + b"." + base64.urlsafe_b64encode(hmac.digest(secret, signed, hash_)).rstrip(b"=")


def test_a_link_is_read_as_it_was_made_by_whoever_has_its_secret() -> None:
    token = Links({"a": SECRET}).token(LINK).encode()
    assert Links({"b": OTHER, "a": SECRET}).read(token) == LINK
    assert Links({"a": OTHER}).read(token) is None
    assert Links({"b": SECRET}).read(token) is None, "its secret has another name"


def test_a_secret_is_changed_while_links_of_the_old_one_are_good() -> None:
    old = Links({"a": SECRET}).token(LINK)
    both = Links({"b": OTHER, "a": SECRET})
    assert both.read(old.encode()) == LINK
    assert parts(both.token(LINK))[0] == {"alg": "HS256", "kid": "b", "typ": "JWT"}
    assert Links({"b": OTHER}).read(old.encode()) is None


def test_where_none_is_set_each_cell_has_a_secret_of_its_own() -> None:
    links, far = Links({}), replace(LINK, generation=new_generation_id(7))
    with pytest.raises(LookupError):
        links.token(LINK)
    links.learn(0, SECRET)
    links.learn(7, OTHER)
    assert parts(links.token(LINK))[0]["kid"] == "cell-0"
    assert parts(links.token(far))[0]["kid"] == "cell-7"
    assert links.read(links.token(far).encode()) == far
    set_ = Links({"a": SECRET})
    set_.learn(0, OTHER)
    assert set_.read(links.token(LINK).encode()) is None


@pytest.mark.parametrize(
    "token",
    [
        b"", b".", b"..", b"a.b.c", b"\xff" * 40, b"rsp_key", Links({"a": SECRET}).token(LINK).encode() + b"A" * 1024,
        token_of({}), token_of({"kid": "z"}), token_of({"kid": ["a"]}), token_of(secret=OTHER),
        token_of(hash_="sha512"), token_of(hash_="sha384"),
        token_of(aud="respool:other"), token_of(aud=None), token_of(exp=None), token_of(exp="soon"), token_of(exp=-1),
        token_of(exp=1 << 50), token_of(exp=1.5), token_of(jti="lnk_1"), token_of(jti=None), token_of(jti=7),
        token_of(gen="gen_1"), token_of(gen=None), token_of(own=7), token_of(own=None), token_of(red="yes"),
        token_of(red=None),
    ],
)  # fmt: skip
def test_what_is_not_wholly_ours_is_no_link(token: bytes) -> None:
    assert Links({"a": SECRET}).read(token) is None


def test_what_was_signed_by_hand_is_a_link() -> None:
    assert Links({"a": SECRET}).read(token_of()) == replace(LINK, redacted=False, expires_ms=1_796_000_900_000)


def test_a_token_without_a_signature_is_no_link() -> None:
    claims = token_of().split(b".")[1]
    for head in ({"alg": "none", "kid": "a"}, {"alg": "HS256", "kid": "a"}):
        told = base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=")
        assert Links({"a": SECRET}).read(b".".join((told, claims, b""))) is None


def test_no_changed_byte_of_a_token_goes_unnoticed() -> None:
    links = Links({"a": SECRET})
    token = links.token(LINK).encode()
    assert links.read(token) == LINK
    for at in range(len(token) - 1):  # the last character has bits that say nothing
        changed = bytearray(token)
        changed[at] = ord("A") if changed[at] != ord("A") else ord("B")
        assert links.read(bytes(changed)) is None, at


def test_what_was_read_is_remembered_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.links._MOST_KNOWN", 2)
    links, verified = Links({"a": SECRET}), list[bytes]()
    verify = links._verified

    def noting(token: bytes) -> Link | None:
        verified.append(token)
        return verify(token)

    monkeypatch.setattr(links, "_verified", noting)
    one, two, three = (links.token(replace(LINK, owner=owner)).encode() for owner in ("one", "two", "three"))
    for token in (one, two, one, three, one, two):
        assert links.read(token) is not None
    assert verified == [one, two, three, two]
    links.read(b"wrong")
    links.read(b"wrong")
    assert len(links._known) == 2, "what is not ours is not kept"


def test_a_token_that_is_too_long_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links({"a": SECRET})
    monkeypatch.setattr(links, "_verified", lambda _: LINK)
    assert links.read(b"A" * 1025) is None
    assert links.read(b"A" * 1024) == LINK


@given(st.integers(0, (1 << 48) - 1))
def test_a_links_id_tells_when_it_was_made(at_ms: int) -> None:
    id_ = new_link_id(at_ms)
    assert is_link_id(id_)
    assert made_ms(id_) == at_ms
    assert not is_link_id(id_ + "0")


def test_a_derived_secret_is_that_of_the_standard() -> None:
    """RFC 5869, test case 3."""
    assert derived(b"\x0b" * 22, b"").hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derived(SECRET, b"one") != derived(SECRET, b"two")


def test_secrets_are_named_and_long() -> None:
    assert link_secrets_of(f"b:{'x' * 32}, a:{'y:' * 20}") == {"b": b"x" * 32, "a": b"y:" * 20}
    assert link_secrets_of("") == {}
    for wrong in ("x" * 40, f":{'x' * 32}", f"a b:{'x' * 32}", f"a:{'x' * 31}", f"a:{'x' * 32},a:{'y' * 32}"):
        with pytest.raises(ValueError, match=r"kid|secret") as raised:
            link_secrets_of(wrong)
        assert "xxx" not in str(raised.value)
