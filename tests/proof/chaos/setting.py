"""What a round is set to, which its seed decides, and what its processes are told of that. Pure.

Each is off in some rounds: who asks nobody for a key, and seals nothing, must keep all promises too.
"""

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from tests.proof.chaos import second
from tests.proof.chaos.wire import Address

APART: Final = 3
"""Every so many-th seed has two servers, one for coordination and one for logs."""
ARCHIVE: Final = 2
"""Every so many-th seed has an archive, where logs go a second after their ends."""
OPEN: Final = 5
"""Every so many-th seed asks nobody for a key: there are no tenants, and so no limits."""
PLAIN: Final = 4
"""Every so many-th seed seals nothing."""

TENANTS: Final = ("ada", "bo")
LIMITED: Final = "cy"
"""The tenant that may do little at a time."""
MAX_RUNNING, MAX_QUEUED, PER_MINUTE, BURST = 2, 3, 240, 12
PEPPER: Final = "chaos:" + "a-pepper-that-nobody-knows-" * 2
SECRET: Final = "the-secret-of-an-installation-in-a-storm"
CANARY: Final = "zymurgical-canary"
"""In every prompt, and nowhere else."""
_TENANT_KEYS: Final = "*/chaos:" + base64.b64encode(bytes(range(32))).decode()
_LIMITS: Final = {"max_running": MAX_RUNNING, "max_queued": MAX_QUEUED, "requests_per_minute": PER_MINUTE,
                  "request_burst": BURST, "tokens_per_day": 10**12}  # fmt: skip
AUDIT: Final = "audit"
"""The folder of the audit log, in that of the round."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`apart`: coordination and logs have a server each. `archive`: a second after their ends logs go to a folder. `two`: there
    are two upstreams. `keys`: nobody is answered without an API key. `sealed`: payloads are encrypted at rest."""

    apart: bool = False
    archive: bool = False
    two: bool = False
    keys: bool = False
    sealed: bool = False

    @classmethod
    def of(cls, seed: int) -> Self:
        return cls(
            apart=seed % APART == 0, archive=seed % ARCHIVE == 0, keys=seed % OPEN != 0, sealed=seed % PLAIN != 0
        )

    def with_two(self, two: bool) -> Self:
        return replace(self, two=two)

    def of_all(self, folder: Path, upstream: Address) -> dict[str, str]:
        """Variables of all processes; `upstream`: where the second one is."""
        told = {"RESPOOL_UPSTREAMS": json.dumps(second.entries(upstream if self.two else None))}
        if self.archive:
            told |= {"RESPOOL_ARCHIVE_URL": f"file://{folder.absolute()}/archive", "RESPOOL_ARCHIVE_AFTER": "1"}
        if self.keys:
            told |= {"RESPOOL_SECRET": SECRET, "RESPOOL_TENANTS": json.dumps({LIMITED: _LIMITS})}
        if self.sealed:
            told["RESPOOL_ENCRYPTION_KEYS"] = _TENANT_KEYS
        return told

    def of_apis(self, folder: Path) -> dict[str, str]:
        told = {"RESPOOL_AUDIT_LOG": str(folder.absolute() / AUDIT)}
        return told | ({"RESPOOL_API_KEY_PEPPER": PEPPER, "RESPOOL_REQUIRE_KEYS": "1"} if self.keys else {})
