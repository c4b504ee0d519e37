"""Tenant keys: which one seals, which ones open, and what is said of those that cannot be used."""

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings import BrokerSettings
from broker.tenant_keys import BadKeys, KeyService, TenantKeys, UnknownKey, WrongKey, keys_in, service_of, tenant_keys

ONE, TWO, THREE = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2, 250))
DATA_KEY = b"d" * 32


def wrapped(keys: TenantKeys, tenant: str = "acme", generation: str = "gen_x") -> bytes:
    found = asyncio.run(keys.wrap(tenant, generation, DATA_KEY))
    assert found is not None
    return found


def unwrapped(keys: TenantKeys, stored: bytes, tenant: str = "acme", generation: str = "gen_x") -> bytes:
    return asyncio.run(keys.unwrap(tenant, generation, stored))


def test_the_first_key_of_a_tenant_seals_and_the_others_still_open() -> None:
    before = wrapped(tenant_keys(f"acme/2026-05:{ONE}"))
    now = tenant_keys(f"acme/2026-11:{TWO} acme/2026-05:{ONE}")
    assert now.current("acme") == "acme/2026-11"
    assert unwrapped(now, before) == unwrapped(now, wrapped(now)) == DATA_KEY
    with pytest.raises(UnknownKey, match=r"acme/2026-11"):
        unwrapped(tenant_keys(f"acme/2026-05:{ONE}"), wrapped(now))


def test_who_has_no_key_of_its_own_has_the_one_of_all_or_is_not_sealed() -> None:
    both = tenant_keys(f"*/a:{ONE},acme/b:{TWO}")
    assert [both.current(tenant) for tenant in ("acme", "other", "")] == ["acme/b", "*/a", "*/a"]
    assert tenant_keys(f"acme/b:{TWO}").current("other") is None
    assert asyncio.run(tenant_keys(f"acme/b:{TWO}").wrap("other", "gen_x", DATA_KEY)) is None


def test_what_was_wrapped_for_one_generation_or_tenant_opens_for_no_other() -> None:
    keys = tenant_keys(f"*/a:{ONE}")
    stored = wrapped(keys)
    assert DATA_KEY not in stored
    for tenant, generation in (("other", "gen_x"), ("acme", "gen_y")):
        with pytest.raises(WrongKey):
            unwrapped(keys, stored, tenant, generation)


@given(st.binary(max_size=120))
def test_whatever_is_stored_as_a_wrapped_key_is_refused_with_a_word_of_its_own(stored: bytes) -> None:
    for each in (stored, b"1 */a " + stored):
        with pytest.raises((UnknownKey, WrongKey)):
            unwrapped(tenant_keys(f"*/a:{ONE}"), each)


def test_another_key_under_the_same_name_is_seen_by_its_check() -> None:
    one, other = tenant_keys(f"*/a:{ONE}"), tenant_keys(f"*/a:{TWO}")
    assert one.check("*/a") == tenant_keys(f"*/a:{ONE} */b:{TWO}").check("*/a") != other.check("*/a")
    with pytest.raises(WrongKey):
        unwrapped(other, wrapped(one))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "key 1 is not of the form"),
        (f"*/a:{ONE} nonsense", "key 2 is not of the form"),
        (f"*/a:{ONE[:20]}", "is not 32 bytes"),
        (f"*/a:{ONE} */a:{TWO}", "two keys"),
        (f"ACME/a:{ONE}", "key 1 is not of the form"),
    ],
)
def test_keys_that_cannot_be_used_are_named_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(BadKeys, match=said) as failure:
        tenant_keys(text)
    assert ONE[:12] not in str(failure.value)
    with pytest.raises(ValueError, match=said) as refused:
        BrokerSettings(encryption_keys=text)
    assert ONE[:12] not in str(refused.value)


def test_keys_come_from_a_file_too_and_are_printed_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"*/a:{ONE}\nacme/b:{THREE.replace('+', '-').replace('/', '_')}\n")
    assert keys_in(file).check("acme/b") == tenant_keys(f"acme/b:{THREE}").check("acme/b")
    settings = BrokerSettings(encryption_keys_file=file)
    assert isinstance(settings.key_service(), TenantKeys)
    shown = f"{BrokerSettings(encryption_keys=f'*/a:{ONE}')!r} {settings.key_service()!r} {settings!r}"
    assert ONE[:12] not in shown
    with pytest.raises(BadKeys, match="cannot be read"):
        keys_in(tmp_path / "missing")
    with pytest.raises(ValueError, match="set one of them"):
        BrokerSettings(encryption_keys=f"*/a:{ONE}", encryption_keys_file=file)


class Service:
    """A key service of an operator's own, which keeps data keys itself."""

    async def wrap(self, tenant: str, generation: str, data_key: bytes) -> bytes | None:
        return b"handle"

    async def unwrap(self, tenant: str, generation: str, wrapped: bytes) -> bytes:
        return DATA_KEY

    async def destroy(self, tenant: str, generation: str, wrapped: bytes) -> None:
        return None


def test_a_service_is_loaded_by_its_path_and_refused_by_name() -> None:
    service: KeyService = service_of(f"{__name__}:Service")
    assert isinstance(service, Service)
    for path in (f"{__name__}:missing", "no.such.module:x", "nonsense", "builtins:list"):
        with pytest.raises(BadKeys):
            service_of(path)
