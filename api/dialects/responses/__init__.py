"""The vocabulary of OpenAI's Responses API (docs/protocol.md): every event has a number, and whatever is complete is said once
more as a whole. Pure.

head.py      what of a response is known from its beginning, and the response as an object
rope.py      a text that grows by pieces, as a value
items.py     the items of its output: of which blocks they are, how they begin, grow and end
said.py      what was said so far: the state of the fold
fold.py      the fold
output.py    the output of a response that is asked for as a whole
"""
