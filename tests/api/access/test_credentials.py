"""Who asks says so once, in one of two headers or in the query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.credentials import NO_BEARER, NOBODY, SAID_TWICE, Credential, credential
from api.access.gate import Header

BEARER: Header = (b"authorization", b"Bearer k")
KEY: Header = (b"x-api-key", b"k")
OTHER: Header = (b"accept", b"x-api-key: k")


@pytest.mark.parametrize(
    ("target", "headers", "found"),
    [
        (b"/", [], NOBODY),
        (b"/?tokens=a&after=token", [OTHER], NOBODY),
        (b"/", [OTHER, BEARER], Credential("key", b"k")),
        (b"/", [(b"authorization", b"bEARER k")], Credential("key", b"k")),
        (b"/", [KEY, OTHER], Credential("key", b"k")),
        (b"/?a=b&token=t", [OTHER], Credential("token", b"t")),
        (b"/", [(b"authorization", b"Basic k")], NO_BEARER),
        (b"/", [(b"authorization", b"k")], NO_BEARER),
        (b"/", [BEARER, BEARER], SAID_TWICE),
        (b"/", [KEY, KEY], SAID_TWICE),
        (b"/", [KEY, BEARER], SAID_TWICE),
        (b"/", [(b"authorization", b"Basic k"), KEY], SAID_TWICE),
        (b"/", [(b"x-api-key", b""), KEY], SAID_TWICE),
        (b"/?token=t", [KEY], SAID_TWICE),
        (b"/?%74oken=t", [BEARER], SAID_TWICE),
        (b"/?token=t&token=t", [], SAID_TWICE),
        (b"/?token&a=b", [KEY], SAID_TWICE),
    ],
)
def test_one_of_all_that_there_is(target: bytes, headers: list[Header], found: object) -> None:
    assert credential(target, headers) == found


@given(st.lists(st.sampled_from([BEARER, KEY, OTHER])), st.lists(st.sampled_from([b"token=t", b"a=b"])))
def test_whatever_names_somebody_twice_names_nobody(headers: list[Header], query: list[bytes]) -> None:
    times = len([each for each in headers if each is not OTHER]) + query.count(b"token=t")
    found = credential(b"/?" + b"&".join(query), headers)
    assert isinstance(found, Credential) is (times == 1)
    assert (found == SAID_TWICE) is (times > 1)
