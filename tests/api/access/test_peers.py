"""Whose address it is that stands behind a proxy: nobody may choose his own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.peers import Peers, networks_of

PROXY, CLIENT, OTHER = "10.0.0.1", "192.0.2.1", "198.51.100.7"
BEHIND = Peers(networks_of("10.0.0.0/8, fd00::/8"))


def forwarded(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"here"), *((b"x-forwarded-for", value.encode()) for value in values)]


@pytest.mark.parametrize(
    ("peer", "values", "address"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, [OTHER], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"{OTHER}, {CLIENT}"], CLIENT),
        (PROXY, [OTHER, CLIENT], CLIENT),
        (PROXY, [f"{CLIENT}, 10.0.0.2"], CLIENT),
        (PROXY, [f"{OTHER}, {CLIENT} ,10.0.0.3,10.0.0.2 "], CLIENT),
        (PROXY, ["10.0.0.2"], "10.0.0.2"),
        (PROXY, [f"{OTHER}, unknown"], PROXY),
        (PROXY, [f"{OTHER}, unknown, 10.0.0.2"], "10.0.0.2"),
        (PROXY, [""], PROXY),
        (PROXY, [f"{CLIENT}:4711"], CLIENT),
        (PROXY, ["[2001:db8::1]:4711"], "2001:db8::1"),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        (PROXY, ["::ffff:192.0.2.1"], CLIENT),
        ("fd00::1", [CLIENT], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("", [CLIENT], ""),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(peer: str, values: list[str], address: str) -> None:
    assert BEHIND.address(peer, forwarded(*values)) == address


@given(st.lists(st.sampled_from([OTHER, PROXY, "nonsense", "", "::1"]), max_size=40))
def test_whatever_a_client_makes_up_stands_left_of_what_the_proxy_adds(made_up: list[str]) -> None:
    assert BEHIND.address(PROXY, forwarded(", ".join([*made_up, CLIENT]))) == CLIENT
    assert BEHIND.address(PROXY, forwarded(*made_up, CLIENT)) == CLIENT
    assert Peers().address(CLIENT, forwarded(*made_up)) == CLIENT


def test_proxies_are_networks_and_addresses() -> None:
    assert networks_of("") == ()
    assert [str(each) for each in networks_of("10.0.0.1, ::1")] == ["10.0.0.1/32", "::1/128"]
    for wrong in ("here.example", "10.0.0.1/8", "10.0.0.0/99"):
        with pytest.raises(ValueError, match="network"):
            networks_of(wrong)
