"""`python -m api`: serves the API until SIGTERM or SIGINT, in one process or several under a small parent, which holds the
listening sockets. SIGHUP: successors take over without a gap. `--alone`: in this process, for a supervisor that is not ours."""

import argparse
import socket
import ssl
import sys
from contextlib import ExitStack, suppress

import uvloop
from pydantic import ValidationError

from api.settings import ApiSettings
from broker import journal
from broker.connect import check_safe, connect
from broker.errors import StorageUnavailable, UnsafeStorage
from broker.processes import CannotRun, Processes


def listen(settings: ApiSettings, *, shared: bool, port: int | None = None) -> socket.socket:
    """The listening socket. Its send buffer is bounded, and so is that of every connection it accepts: what the kernel would
    hold for a viewer that does not read is megabytes. `shared`: other processes listen there too, and
    the kernel spreads connections over them. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
    listening.bind((settings.host, settings.port if port is None else port))
