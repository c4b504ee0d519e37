"""A certificate of our own, and who trusts it."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        """A client's context that trusts it and nothing else."""
        return ssl.create_default_context(cafile=self.certificate)


def make_certificate(folder: Path) -> Certificate:
    """For localhost, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl, which is not installed")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    command += f" -out {made.certificate} -keyout {made.key}"
    subprocess.run(command.split(), check=True, capture_output=True, timeout=30)
    return made
