"""What a URL of Redis names: a server, or the Sentinels that know where it is."""

import asyncio
from typing import Any

import pytest

from broker.store.address import BadAddress, Fixed, Guided, address_of, checks_hostname
from broker.store.client import connect
from broker.store.following import FollowingPool
from broker.store.sentinels import Place


def fixed(url: str) -> tuple[Place, dict[str, Any], bool]:
    address = address_of(url)
    assert isinstance(address, Fixed)
    assert address.known == asyncio.run(address.find()) == address.place
    return address.place, dict(address.options), address.secure


def guided(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """The Sentinels, the primary's name, how to connect to it and how to them."""
    address = address_of(url)
    assert isinstance(address, Guided)
    assert address.known is None
    sentinels = address.sentinels
    theirs = {name: value for name, value in sentinels._options.items() if name.startswith(("ssl", "user", "pass"))}
    assert address.secure == (sentinels._make.__name__ == "Secure")
    return sentinels._hosts, sentinels._name, dict(address.options), {k: v for k, v in theirs.items() if v is not None}


@pytest.mark.parametrize(
    ("url", "place", "options", "secure"),
    [
        ("redis://", Place("localhost", 6379), {}, False),
        ("redis://h:7/2", Place("h", 7), {"db": 2}, False),
        ("redis://:pa%2Fss@h", Place("h", 6379), {"password": "pa/ss"}, False),
        ("redis://me:pass@h", Place("h", 6379), {"username": "me", "password": "pass"}, False),
        ("unix:///there/is?db=3", Place(path="/there/is"), {"db": 3}, False),
        ("rediss://h", Place("h", 6379), {"ssl_check_hostname": True}, True),
        (
            "rediss://h?ssl_cert_reqs=none",
            Place("h", 6379),
            {"ssl_cert_reqs": "none", "ssl_check_hostname": False},
            True,
        ),
    ],
)
def test_one_server_is_where_its_url_says(url: str, place: Place, options: dict[str, Any], secure: bool) -> None:
    assert fixed(url) == (place, options, secure)


def test_sentinels_have_hosts_and_ports_and_the_primary_a_name() -> None:
    hosts, name, options, theirs = guided("redis+sentinel://one:1,two,[::1]:3/main?db=4")
    assert hosts == [("one", 1), ("two", 26379), ("::1", 3)]
    assert name == "main"
    assert (options, theirs) == ({"db": 4}, {})


def test_the_primary_and_its_sentinels_have_logins_of_their_own() -> None:
    _, name, options, theirs = guided(
        "redis+sentinel://me:p%40ss@one,two/of%20all?sentinel_username=you&sentinel_password=word"
    )
    assert name == "of all"
    assert options == {"username": "me", "password": "p@ss"}
    assert theirs == {"username": "you", "password": "word"}
    *_, options, theirs = guided("redis+sentinel://:pass@one/main")
    assert (options, theirs) == ({"password": "pass"}, {})


def test_over_tls_the_sentinels_must_prove_who_they_are_as_the_primary_must() -> None:
    *_, options, theirs = guided("rediss+sentinel://one/main?ssl_ca_certs=ca.pem&ssl_certfile=own.pem&db=1")
    assert theirs == {"ssl_ca_certs": "ca.pem", "ssl_certfile": "own.pem", "ssl_check_hostname": True}
    assert options == {**theirs, "db": 1}
    *_, options, theirs = guided("rediss+sentinel://one/main?ssl_check_hostname=false")
    assert options == theirs == {"ssl_check_hostname": False}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "scheme"),
        ("http://h", "scheme"),
        ("redis+cluster://h", "a cluster can have the logs alone"),
        ("redis://me:secret/word@h", "cannot be read"),
        ("redis://h?db=secret", "cannot be read"),
        ("redis+sentinel://me:secret/word@h/main", "behind the Sentinels|cannot be read"),
        ("redis+sentinel://one", "primary's name"),
        ("redis+sentinel://one/", "primary's name"),
        ("redis+sentinel://one/main/0", "primary's name"),
        ("redis+sentinel:///main", "hosts of the Sentinels"),
        ("redis+sentinel://one,,two/main", "hosts of the Sentinels"),
        ("redis+sentinel://one:secret/main", "cannot be read"),
        ("redis+sentinel://one:70000/main", "cannot be read"),
        ("redis+sentinel://one/main?db=secret", "cannot be read"),
    ],
)
def test_a_url_that_names_nothing_is_refused_without_being_repeated(url: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why) as caught:
        address_of(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h?colour=red", "redis+sentinel://h/main?colour=red", "unix:///h?colour=red"])
def test_an_option_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadAddress, match="an option of it is not known"):
        connect(url)


def test_a_client_of_sentinels_follows_their_primary_and_waits_no_longer_than_any_other() -> None:
    pool = connect("redis+sentinel://:pass@h/main?db=2", connections=3).connection_pool
    assert isinstance(pool, FollowingPool)
    options, others = pool.connection_kwargs, connect("redis://h").connection_pool.connection_kwargs
    assert (pool.max_connections, pool.timeout) == (3, 4.0)
    assert (options["db"], options["password"]) == (2, "pass")
    for name in ("socket_connect_timeout", "socket_timeout", "socket_keepalive", "retry_on_error"):
        assert options[name] == others[name]


def test_a_client_of_sentinels_over_tls_looks_at_the_primarys_certificate() -> None:
    pool = connect("rediss+sentinel://h/main?ssl_ca_certs=ca.pem").connection_pool
    connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
    assert (connection.check_hostname, connection.ca_certs) == (True, "ca.pem")


def test_a_name_is_checked_unless_the_url_says_otherwise() -> None:
    assert checks_hostname({})
    assert not checks_hostname({"ssl_check_hostname": False})
    assert not checks_hostname({"ssl_cert_reqs": "none"})
