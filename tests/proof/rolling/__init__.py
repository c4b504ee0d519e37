"""A rolling deploy while people watch.

    python -m tests.proof.rolling

viewers.py has the Service and those who go through it, deploy.py what is replaced and what came of it.
"""
