"""The mutation gate: bugs that we seed ourselves, one at a time, into a copy of the product. A test suite that lets one of them
live proves nothing about the place it was in.

    python -m tests.proof.mutants            all of them
    python -m tests.proof.mutants NAME …     some of them
    python -m tests.proof.mutants --list     what there is
    python -m tests.proof.mutants generated [FILE …]     bugs that nobody thought of: every line changed in every way

catalogue.py has the bugs, doors.py those of who may do what, shared.py those of what workers share; seeding.py says what one
is. places.py finds the functions that they name, gate.py plants them and runs the tests that should notice. What is generated
comes from operators.py and lua.py, is judged by generated.py in the forks of nursery.py, on what lend.py lends them, and is
listed in equivalent.py if nothing can notice it.
"""
