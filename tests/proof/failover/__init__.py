"""Failing over while people watch: the primary dies, a replica that lagged behind is promoted, and clients are led there by
the address that they have always used.

    python -m tests.proof.failover --rounds 30

pair.py has the two servers and the networks between, rounds.py what happens in one round and what it proves.
"""
