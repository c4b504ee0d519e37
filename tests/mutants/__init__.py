"""The mutation gate: bugs that we seed ourselves, one at a time, into a copy of the product. A test suite that lets one of them
live proves nothing about the place it was in.

    python -m tests.mutants            all of them
    python -m tests.mutants NAME …     some of them
    python -m tests.mutants --list     what there is

catalogue.py has the bugs, gate.py plants them and looks who notices.
"""
