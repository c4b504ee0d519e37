"""The generated mutants that no test can notice, by the reason why; and the files of which none are made."""

from typing import Final

LEFT_OUT: Final = {
    "worker/simulator/": "the far side: what tests talk to, not what is tested",
    "broker/up.py": "starts and tends processes, and is tested with them (tests/packaging)",
    "broker/embedded.py": "starts a process (tests/broker/test_embedded.py)",
    "broker/supervise.py": "tends processes (tests/broker/test_supervise.py)",
    "broker/tether.py": "ends processes (tests/broker/test_tether.py)",
    "broker/processes.py": "starts and ends processes (tests/api/test_processes.py, tests/worker/test_supervisor.py)",
    "worker/supervisor.py": "starts and ends processes (tests/worker/test_supervisor.py)",
    "worker/process.py": "a process from its start to its last signal (tests/faults)",
    "worker/__main__.py": "a command (tests/faults, tests/packaging)",
    "api/__main__.py": "a command (tests/http, tests/packaging)",
    "api/serving.py": "a process from its start to its last signal (tests/api/test_restart.py, tests/api/test_going_away.py)",
}

_LISTED: Final[dict[str, tuple[str, ...]]] = {}

EQUIVALENT: Final = {key: reason for reason, keys in _LISTED.items() for key in keys}
