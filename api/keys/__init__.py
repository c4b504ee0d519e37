"""API keys: who has one may ask. What a key says and how it is hashed is in access/; here is which keys there are.

keyed.py         the policy of a server that asks for keys
ring.py          the keys that a process knows: held in memory, looked at again every few seconds
lookups.py       asks the store for a key that is not known here: a few at a time
everywhere.py    what all cells keep of keys, as one
issuing.py       makes, changes and revokes keys
opened.py        all of it in an API process
commands.py      `python -m api.keys`, its words; __main__.py runs it
"""
