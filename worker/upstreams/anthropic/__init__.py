"""The Messages API, through the Anthropic SDK, which is large: client.py alone imports it at once.

client.py        the call: its events as they come, its failures by name
translate.py     from its events to entries, losing none
caching.py       which blocks it is asked to cache
whole.py         an answer that is not streamed, as the events of a stream
continuation.py  what the next attempt asks it, where one was interrupted
credentials.py   whether there is anything to call it with: a worker that could not does not start
"""
