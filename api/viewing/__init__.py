"""What viewers see of a log. Writes to sockets that are lent to it, and knows nothing of HTTP.

    hub.py           the one reader of a cell, and the tick for all that depends on time; hubs.py: those of several cells as one
    subscription.py  what is published, with as little as possible in between
    feed.py          what is known of one watched generation, the seam between history and live; ring.py: where its entries are
    rendition.py     a feed in one dialect and one framing: its latest frames, made once, and those who follow them
    watched.py       notes in records that somebody watches, of generations that are cancelled where nobody does
    chunking.py      the same, of words and sentences: when what is held back is shown
    framing.py       how what is written at once lies on its connection
    viewer.py        one open event stream: a cursor and a socket, no queue; bundle.py: several that share a connection
    admissions.py    who has which streams open: how many, and which close when what let them in has ended; stream_limits.py
    revoked_links.py what a process knows of view links that were revoked
    waiting.py       waits for an end without watching
    erasures.py      hears which generations were erased, of which nothing is kept
    catch_up.py      keeps feeds true to their logs: what was missed, what was lost, what has expired
    pages.py         what is read from logs, rendered once and kept for the next reader; borders.py: where a dialect may begin;
                     folding.py: both, in slices; stretches.py: how much at once
    transcripts.py   what whole logs amount to, folded once and kept for the next who asks

feed, ring, rendition, framing and stretches do no I/O but writes to lent sockets.
"""
