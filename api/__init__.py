"""The API: accepts generations, and shows them to any number of viewers. `python -m api` runs it.

serving.py is one process of it: uvicorn, and how it goes. Accepting, one request at a time:

    app.py          the application; generations.py, its routes; service.py, what they work with
    body.py         from bytes to one JSON object; negotiate.py, what the headers ask for
    problems.py     every answer that is not a success
    lookout.py      looks once more, some seconds later, at what was accepted
    views.py        records as JSON

Who and what is let in, before anything of it is looked at:

    connections.py  how many there may be, and how long each may owe its next request
    bounded.py      uvicorn's protocol class, bounded: heads, pipelines, upgrades
    request_head.py what is wrong with a head
    origin.py       which hosts are answered for, and which pages may read and change something; guard.py asks it for
                    the routes
    gate.py         who asks, and whether a generation is there for that one: asked by the routes and by the quick way in
    openapi.py      the description of all this, made of what validates it; docs_page.py, a page to try it

Showing, where the process spends its life:

    dialects/  the vocabularies in which a log is shown, each a fold over its entries
    door.py    the quick way in, for viewers who come back
    hub.py     the one reader of the process, and the tick for all that depends on time
    live.py    its subscription: what is published, with as little as possible in between
    feed.py    what is known of one watched generation; the seam between history and live. ring.py: where its entries are
    rendition.py  a feed in one view: its latest frames, made once, and those who follow them. framing.py: how they are sent
    truth.py   keeping feeds true to their logs: what was missed, what was lost, what has expired
    viewer.py  one open event stream: a cursor and a socket, no queue
    pages.py   what is read from logs, rendered once and kept for the next reader; borders.py: where a dialect may begin
    durable.py keeps a strictly durable end back until it is safe
    disk.py    waits until Redis has on its disk what it has executed
    progress.py  whether a client takes what it is sent, however slowly
    stream.py  a viewer as a response, on any ASGI server; direct.py, our uvicorn protocol classes; one takes it over

A token's way is live, hub, feed, rendition, socket. dialects, feed, ring, viewer and views do no I/O. What is published is the
live path, the log is the truth.
"""
