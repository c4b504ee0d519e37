"""TLS at the API itself: what it takes, what it refuses, and that it is TLS."""

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from broker.local.embedded import free_port
from tests.harness.processes import ROOT
from tests.system.http.certificate import Certificate, make_certificate
from tests.system.http.conftest import Server


def test_it_speaks_tls_and_nothing_else(https_servers: dict[str, Server], way: str) -> None:
    address = https_servers[way].address
    with address.connect() as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.version() in ("TLSv1.2", "TLSv1.3")
        assert connection.get("/healthz").status == 200
    with socket.create_connection(("127.0.0.1", address.port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in b"".join(iter(lambda: received(plain), b""))


def received(plain: socket.socket) -> bytes:
    try:
        return plain.recv(65536)
    except ConnectionResetError:
        return b""


def refusal(**tls: object) -> str:
    """What `python -m api` says when it does not start with these settings. There is no terminal to ask on, and no Redis."""
    redis = {"RESPOOL_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "RESPOOL_PORT": str(free_port())}
    settings = {f"RESPOOL_TLS_{name.upper()}": str(value) for name, value in tls.items()}
    done = subprocess.run(
        [sys.executable, "-m", "api"], env={**os.environ, **redis, **settings}, cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_half_of_it_is_refused(certificate: Certificate) -> None:
    said = "api: RESPOOL_TLS_CERTFILE and RESPOOL_TLS_KEYFILE: set both or neither"
    assert refusal(certfile=certificate.certificate) == said
    assert refusal(keyfile=certificate.key) == said


def test_files_that_cannot_be_used_are_named(certificate: Certificate, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    assert refusal(certfile=missing, keyfile=certificate.key) == f"api: {missing}: No such file or directory"
    other = make_certificate(tmp_path)
    said = refusal(certfile=certificate.certificate, keyfile=other.key)
    assert said.startswith(f"api: {certificate.certificate} and {other.key} are not a certificate and its key: ")


@pytest.mark.timeout(60)
def test_a_key_with_a_passphrase_is_refused_rather_than_asked_about(certificate: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = f"openssl pkey -aes256 -passout pass:secret -in {certificate.key} -out {locked}"
    subprocess.run(command.split(), check=True, capture_output=True, timeout=30)
    assert "are not a certificate and its key" in refusal(certfile=certificate.certificate, keyfile=locked)
