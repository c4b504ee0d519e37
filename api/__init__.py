"""The API: accepts generations, and shows them to any number of viewers. `python -m api` runs it.

serving.py is one process of it: uvicorn, and how it goes. app.py is the application, cell.py its part that is a cell's,
settings.py what an operator sets. The rooms, from the outside in; each may import those below it, never one above (a
contract in CI):

    routes/    one family of URLs a file, and the description of them all
    delivery/  from bytes to a socket: what is bounded, the fast path, our protocol class and any other ASGI server
    viewing/   what viewers see of a log: the hub, feeds, renditions, pages, ends that are kept back
    keys/      API keys: which there are, who makes them; `python -m api.keys`
    access/    who may: hosts, pages, principals
    audit/     who did what: hash-chained lines of their own
    intake/    from bytes to a valid request, and every answer that is not a success
    dialects/  the vocabularies in which a log is shown, each a fold over its entries; pure

A token's way is subscription, hub, feed, rendition, socket. What is published is the live path; the log is the truth.
"""
