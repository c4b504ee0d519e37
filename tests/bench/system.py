"""What the kernel knows of processes: CPU, memory, limits. And the compiler."""

import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
_TICK = os.sysconf("SC_CLK_TCK")


class Skipped(Exception):
    """This cannot be measured here; the text says why."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, in steps of a clock tick (10 ms)."""
    total = 0
    for pid in pids:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def running_seconds(pids: Iterable[int]) -> float:
    """The same of the threads that they have now, to the nanosecond."""
    told = (each.read_text() for pid in pids for each in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(text.split()[0]) for text in told) / 1e9


def idle_seconds() -> float:
    """CPU time that nobody used so far, of all cores."""
    return int(Path("/proc/stat").read_text().split()[4]) / _TICK


def resident_kb(pids: Iterable[int]) -> int:
    """Resident memory of these processes, KB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def family(pid: int) -> list[int]:
    """A process and its children (nginx has a worker)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in family(int(child)))]


def connections_to(pid: int, port: int) -> int:
    """TCP connections over IPv4 that a process has to this port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    there = {f"socket:[{line[9]}]" for line in lines if line[2].endswith(f":{port:04X}")}
    return sum(os.readlink(each) in there for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink())


def raise_limits(descriptors: int = 20_000) -> None:
    """Lets us and our children have many sockets, as many as the hard limit allows at least."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < descriptors:
        wanted = descriptors if hard == resource.RLIM_INFINITY else min(descriptors, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def compiled(name: str, folder: Path) -> Path:
    """Compiles `name`.c into the folder, once. Raises Skipped where that cannot be."""
    if platform.system() != "Linux":
        raise Skipped("the load client needs Linux (epoll, /proc)")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Skipped("no C compiler here (cc), which the load client and the floor need")
    binary = folder / name
    if not binary.exists():
        command = [compiler, "-O2", "-o", str(binary), str(HERE / f"{name}.c")]
        built = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if built.returncode:
            raise Skipped(f"{name}.c does not compile here: {built.stderr[:400]}")
    return binary


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    ) if platform.system() == "Linux" else platform.processor()  # fmt: skip
    return {
        "cpus": os.cpu_count(),
        "cpu": model,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }
