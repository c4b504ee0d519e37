"""Whether all processes mean the same key by the same name. One that was given another would seal what no worker can open."""

from arq.connections import ArqRedis

from broker import keys
from broker.errors import SealingUnavailable
from broker.store.client import storage_errors
from broker.store.vault import Vault
from broker.tenant_keys import KeyService, TenantKeys


class KeyProof:
    """Compares the keys that this process seals with to what coordination remembers of them, each once if it is the same."""

    def __init__(self, tenant_keys: TenantKeys, coordination: ArqRedis) -> None:
        self._keys = tenant_keys
        self._redis = coordination
        self._proven: set[str] = set()

    async def __call__(self, tenant: str) -> None:
        """Raises SealingUnavailable if the tenant's key is another here than elsewhere; StorageUnavailable or StorageFull."""
        reference = self._keys.current(tenant)
        if reference is None or reference in self._proven:
            return
        check = self._keys.check(reference)
        with storage_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.set(keys.sealing(reference), check, nx=True, px=keys.INDEX_MS)
            pipe.getex(keys.sealing(reference), px=keys.INDEX_MS)
            _, found = await pipe.execute()
        if found is None or found.decode() != check:
            raise SealingUnavailable(f"{reference} is another key here than in other processes")
        self._proven.add(reference)


def vault_with(service: KeyService | None, coordination: ArqRedis) -> Vault:
    """The data keys of a process, of the cell that this coordination is of. A key service's keys prove themselves."""
    prove = KeyProof(service, coordination) if isinstance(service, TenantKeys) else None
    return Vault(service, prove)
