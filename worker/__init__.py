"""The worker: takes generations from the queue and sees each through to its end. `python -m worker` runs it.

From the outside in:

    process.py   what a worker process consists of, how it starts, drains and hands over; children.py keeps several
    dispatch.py  arq's worker: hears of jobs at once instead of polling for them
    generating/  one generation: plan, claim, attempt, and what follows from how that went
    guardrails/  checks of what a generation puts out
    budgets/     what all workers together may ask of an upstream
    log/         one attempt's hand on its log, and the one task that writes for all of them
    upstreams/   the model APIs: a protocol, a package for each vendor
    tools/       tools that ship: a clock, a calculator
    cancels.py   hears of cancels as they are asked for
    sweeper.py   finds generations that no worker looks after
    archiver.py  takes logs that have ended to the archive; archive_sweep.py erases what is nobody's there
    eraser.py    completes erasures, whoever began them
    rewriting.py has Redis rewrite its file, in which what was deleted stays until then
    webhooks/    tells the ends of generations to whoever asked for it
    prices.py    what tokens cost, where the operator says
    rescan.py    finds what coordination has lost, where it has a server of its own

Appender, dispatcher, sweeper, archiver, deliverer and budgets have `statistics()`: plain numbers, none counted per token.
Whatever fails here loses nothing: the lease runs out, `due` brings the generation back, and the next attempt is fenced off
from this one.

simulator/ is the simulated upstream, a process of its own: what `make up` runs without a key, and the fault injector of the
tests. It imports nothing of ours.
"""
