"""Processes that start others.

children.py   several processes of one kind under a small parent: API processes, worker processes
supervise.py  keeps the parts of one machine's stack alive
orphans.py    no child outlives its parent, however that dies
"""
