"""What is an API key, and what only looks like one."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.api_keys import ApiKey, new_key, read_key


def test_a_key_says_its_id_and_is_read_as_what_was_made() -> None:
    key = new_key()
    prefix, id_, secret, checksum = key.text.decode().split("_")
    assert (prefix, id_, len(id_), len(secret), len(checksum)) == ("rsp", key.id, 16, 52, 8)
    assert read_key(key.text) == key
    assert len({new_key().text for _ in range(100)}) == 100


BODY = b"rsp_" + b"a7" * 8 + b"_" + b"b2cd" * 13
KEY = ApiKey("a7" * 8, b"%b_%08x" % (BODY, zlib.crc32(BODY)))


@given(st.integers(0, len(KEY.text) - 1), st.integers(0, 255))
def test_a_key_with_one_character_wrong_is_none(at: int, byte: int) -> None:
    changed = KEY.text[:at] + bytes([byte]) + KEY.text[at + 1 :]
    assert read_key(changed) == (KEY if changed == KEY.text else None)


@given(st.binary(max_size=200) | st.integers(0, 100).map(lambda end: KEY.text[:end]))
def test_what_is_no_key_is_none(text: bytes) -> None:
    assert (read_key(text) is None) is (text != KEY.text)


@pytest.mark.parametrize(
    "text", [KEY.text + b" ", b" " + KEY.text, KEY.text + b"\n", KEY.text.upper(), KEY.text * 2], ids=str
)
def test_a_key_is_exactly_that(text: bytes) -> None:
    assert read_key(text) is None
