"""Moving slots and replacing primaries of a cluster while people watch.

    python -m tests.proof.shards --events 40

tests/harness/clusters.py has what may happen, rounds.py what happens in one round and what it proves.
"""
