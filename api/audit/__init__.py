"""The audit log: who did what to which generation, key or link, as hash-chained JSON lines. Nothing of prompts or outputs.

    journal.py   what routes and the fast path note: a tuple into a bounded queue, written by a thread once a second
    lines.py     what a line says, and how lines are chained; pure
    trail.py     one process's chain over its files: rotation, a disk that is full
    verify.py    finds what was changed, removed, put elsewhere or cut off
    __main__.py  `python -m api.audit verify PATH…`

Knows nothing of the other rooms: whoever notes something says who did it by the few attributes of `Who`.
"""
