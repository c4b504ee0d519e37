"""Where webhooks may go, and what of them is kept."""

import base64
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ssrfguard import DEFAULT_DENIED

from broker.bounds import WEBHOOKS
from broker.ids import EntryId
from broker.request import GenerationRequest
from broker.webhooks import (
    Delivery,
    Hook,
    Rules,
    allowances,
    host_of,
    secrets_of,
    webhook_id,
    why_not_address,
    why_not_url,
)

NOTHING = allowances("")
SPECIAL = (
    "0.0.0.0", "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "168.63.129.16", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
    "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%eth0", "2a00::1%eth0", "fec0::1", "ff02::1", "4000::1", "not an address", "",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1")


def refused(url: str, allow: str = "", signed: bool = True) -> tuple[int | str, ...] | None:
    """Where a request with such a webhook is wrong; None if it is not."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "webhook": {"url": url}}
    try:
        GenerationRequest.model_validate(body, context={WEBHOOKS: Rules(signed, allowances(allow))})
    except ValidationError as error:
        (wrong,) = error.errors()
        return wrong["loc"]
    return None


@pytest.mark.parametrize("address", SPECIAL)
def test_nothing_connects_to_what_is_not_public(address: str) -> None:
    assert why_not_address(address, NOTHING) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert why_not_address(address, NOTHING) is None
    assert refused(f"https://[{address}]/x" if ":" in address else f"https://{address}:8443/x") is None


@pytest.mark.parametrize(
    ("allow", "opened"),
    [("loopback", {"127.0.0.1", "127.9.9.9", "::1"}),
     ("private", {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1"}),
     ("http", set())],
)  # fmt: skip
def test_an_allowance_opens_what_it_names_and_no_more(allow: str, opened: set[str]) -> None:
    assert {each for each in SPECIAL if why_not_address(each, allowances(allow)) is None} == opened


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.sampled_from(
    [ip_address(each) for each in (*SPECIAL, *PUBLIC) if each and "%" not in each and " " not in each]
)))  # fmt: skip
def test_what_another_library_refuses_we_refuse(address: Any) -> None:
    if DEFAULT_DENIED.classify(address).blocked:
        assert why_not_address(str(address), NOTHING) is not None


@pytest.mark.parametrize("url", [
    "https://example.com", "https://example.com:8443/a/b?token=1", "https://xn--bcher-kva.example/", "https://example.com.",
])  # fmt: skip
def test_https_to_a_name_is_of_the_right_form(url: str) -> None:
    assert refused(url) is None


@pytest.mark.parametrize("url", [
    "https://b\u00fccher.example/", "https://example.com\\@10.0.0.1/", "https://example.com/#x", "https://example.com/\n",
    "//x",
    "https://" + "a" * 2048, "https://[::1", "https://0x7f.1/", "https://2130706433/", "https://127.1/",
    "https://sub.localhost./", "HTTP://example.com/",
])  # fmt: skip
def test_a_url_of_another_form_is_refused_and_not_repeated(url: str) -> None:
    assert refused(url) == ("webhook", "url")
    why = why_not_url(url, NOTHING)
    assert why is not None
    assert "example" not in why


def test_a_webhook_needs_a_secret_to_be_signed_with() -> None:
    assert refused("https://example.com/", signed=False) == ("webhook",)


def test_what_was_stored_is_read_whatever_is_allowed_now() -> None:
    body: dict[str, Any] = {
        "model": "m", "messages": [{"role": "user", "content": "x"}],
        "webhook": {"url": "http://10.0.0.1/", "events": ["failed"]},
    }  # fmt: skip
    stored = GenerationRequest.model_validate(body).to_bytes()
    request = GenerationRequest.from_bytes(stored)
    assert request.hook == Hook("http://10.0.0.1/", ("failed",))
    assert "webhook" not in request.upstream_body()
    assert Hook.of(str(request.hook).encode()) == request.hook


def test_secrets_are_several_and_each_of_the_form_of_the_standard() -> None:
    one, two = ("whsec_" + base64.b64encode(bytes([byte]) * 24).decode() for byte in (1, 2))
    assert secrets_of(f" {one}, {two}") == (one, two)
    assert secrets_of("") == ()
    for bad in (
        "secret",
        one.removeprefix("whsec_"),
        "whsec_!",
        "whsec_" + base64.b64encode(b"short").decode(),
        f"{one} x",
    ):
        with pytest.raises(ValueError, match="RESPOOL_WEBHOOK_SECRET") as refusal:
            secrets_of(bad)
        assert one not in str(refusal.value)


def test_what_is_allowed_is_of_known_words() -> None:
    assert allowances("http, loopback") == {"http", "loopback"}
    with pytest.raises(ValueError, match="RESPOOL_WEBHOOK_ALLOW"):
        allowances("https")


def test_the_rest_is_small() -> None:
    assert host_of("https://user@example.com:1/secret?x") == "example.com"
    assert webhook_id("gen_x", EntryId(7, 0)) == "gen_x_7-0"
    assert Delivery.of(None) is None
    assert Delivery.of(
        b'{"state":"failed","tries":2,"last_status":410,"last_error":"gone","next_at_ms":null}'
    ) == Delivery("failed", 2, 410, "gone")
