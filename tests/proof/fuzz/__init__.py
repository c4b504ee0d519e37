"""Requests that nobody would think of: schemathesis makes them from what the API says of itself, sends them to real processes,
and holds every answer against that description. Statefully too: what one answer names, later requests ask about.

`python -m tests.proof.fuzz` goes on for as long as it is given; test_fuzz.py runs a short one.
"""
