"""How a write lies on its connection."""

from api.viewing.framing import chunk, plain


def test_a_chunk_tells_its_length_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_what_an_asgi_server_frames_is_left_as_it_is() -> None:
    assert plain(b"data: x\n\n") == b"data: x\n\n"
