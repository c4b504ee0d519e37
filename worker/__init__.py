"""The worker: takes generations from the queue and sees each through to its end. `python -m worker` runs it.

From the outside in:

    process.py      what a worker process consists of, how it starts, drains and hands over; supervisor.py keeps several
    dispatch.py     arq's worker: hears of jobs at once instead of polling for them
    producer.py     one generation: plan, claim, attempt, and what follows from how that went
    plan.py         what the next attempt does, from the record and the log
    attempt.py      one attempt: call, read, put into the log, say how it went; watchdogs for silence; retry.py says when again
    usage.py        what a generation costs, over its attempts
    writer.py       one attempt's hand on its log: what is written, what waits, what may have to be written again
    appender.py     the one task that writes, for all generations of the process: one pipeline per flush
    cancels.py      hears of cancels as they are asked for
    sweeper.py      finds generations that no worker looks after
    rescan.py       finds what coordination has lost, where it has a server of its own

    upstreams/      the model APIs: a package for each, and what they share

plan, retry, usage and writer do no I/O. Appender, dispatcher and sweeper have `statistics()`: plain numbers, none counted per
token. Whatever fails here loses nothing: the lease runs out, `due` brings the generation back, and the next attempt is fenced
off from this one.

simulator/ is the simulated upstream, a process of its own: what `make up` runs without a key, and the fault injector of the
tests.
"""
