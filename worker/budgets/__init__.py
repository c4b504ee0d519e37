"""What all workers together may ask of an upstream, as one worker sees it.

fleet.py    permits for calls, from Redis; made.py: a call that has one
account.py  what a process knows of one budget; alone.py: the budget by itself, while Redis is away; pure
line.py     calls of this process that wait for one budget
teller.py   what calls have found and that they are over, to Redis; who has trouble, from there

What a budget is: broker/budgets.py. Where nothing is set and no upstream has said or refused anything of late, no call asks.
"""
