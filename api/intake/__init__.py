"""From bytes to a valid request.

body.py       from bytes to one JSON object
filters.py    what a list is asked for
negotiate.py  what the headers ask for
anew.py       a request that is made of an earlier one
problems.py   every answer that is not a success
lookout.py    looks once more, some seconds later, at what was accepted
"""
