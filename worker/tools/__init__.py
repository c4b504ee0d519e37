"""Tools that ship: `RESPOOL_TOOLS=worker.tools` has all of them. Each is a module with one function, as anybody may write it.

clock.py       what time it is, anywhere
calculator.py  what an arithmetic expression amounts to
"""

from worker.tools.calculator import calculator
from worker.tools.clock import clock

__all__ = ["calculator", "clock"]
