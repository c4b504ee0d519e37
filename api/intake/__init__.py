"""From bytes to a valid request.

body.py       from bytes to one JSON object
lines.py      a body of many requests, a line each
filters.py    what a list is asked for
socket_messages.py  what may be said on a WebSocket; chat_messages.py: on one of the AI SDK's
negotiate.py  what the headers ask for
anew.py       a request that is made of an earlier one
codes.py      the table of what a request may be answered with that is no success
problems.py   how each of these is answered
asked/        requests of other vocabularies
shapes.py     in whose words: those of the vocabulary that the path belongs to
shaped/       a problem in the words of each
lookout.py    looks once more, some seconds later, at what was accepted
"""
