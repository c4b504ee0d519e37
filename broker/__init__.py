"""Respool in five minutes. Read this first.

Somebody asks for a generation; a model writes it, token by token; any number of people watch, and each may drop and come
back, while every process may die. What makes that simple is one decision: **the log is the truth**. A generation has a Redis
Stream; a worker appends to it; whoever watches reads it; nobody shows anything that is not in the log.

The id of an entry is `<attempt>-<seq>`, and that one number does all the work:

- It is the viewer's **cursor**: what it gets as the event's `id:` and sends back as Last-Event-ID.
- It is the **fence**. Each attempt begins with an entry of its own, `<attempt>-0`, and Redis refuses ids below the last one:
  a worker that was paused, lost its claim and wakes up cannot write into its successor's text.
- It makes writing **repeatable**. A worker that does not know whether an append was done, or whose entries Redis has lost in
  a crash, writes them again under the ids that they have always had.

A generation's life, `queued → running → completed | failed | cancelled`:

1. The API reserves an id (`submit`), makes the record (`create`), queues a job and answers 202. From the first of these on,
   the sorted set `due` says when somebody must look at the generation.
2. A worker takes the job and claims the generation (`claim`): a new attempt, and a lease, until when it counts as alive.
3. It calls the upstream and appends what comes (`append`): check, write, publish and renew the lease in one step.
4. In each API process a hub hears what was published, encodes every frame once and writes it to all viewers. What it did not
   hear it reads from the log.
5. `finish` seals the log: the terminal entry and the terminal state in one step. Nothing is ever appended behind it.

And if the worker dies: its lease runs out, a sweeper finds that in `due`, and the next attempt goes on from the last complete
text, or begins again, or is not made, as the submitter chose. Its first entry tells readers what to keep. A cancel is a field
of the record that every append and every claim looks at.

Where to read on, in this order:

    ids.py, events.py     what an id is; how an entry is stored, and how it looks on the wire
    vocabulary.py         every event as a type: the one table of what a stream may carry
    failures.py           every way in which a generation fails: code, meaning, whether another try may succeed
    keys.py, errors.py    every key in Redis and how long it lives; what a call on Redis may raise
    refusals.py           what Redis' error replies mean; acl.py: what each process may do there
    replies.py            what the atomic steps answer
    transcript.py         the rule for readers as code: what a log amounts to
    request.py, record.py what may be asked for; what is known of a generation, and record_fields.py who writes it
    messages.py, bounds.py what of a request is taken as it came; what it is held against besides its own rules
    cells.py, placing.py  independent pairs of the two roles of Redis, and which of them takes what is submitted
    rate.py, breaker.py   how often something may be done; whether what is overloaded is called at all
    budgets.py            what all workers together may ask of an upstream, by these two
    tenants.py            what an operator says of each tenant: models, tools, a key of its own, limits
    allowed.py            what a tenant asks for that it may not
    keyed.py              digests under the installation's secret: of bodies, of users
    upstreams.py          which model APIs there are, and which model goes to which
    credentials.py        keys by the names that an operator gives them
    settings.py, tasks.py, journal.py   how processes are configured, own their tasks, and log
    summary.py            a record as it is shown; webhooks.py: where one may go, what became of it
    schedule.py           when a generation may start, and how urgent it is
    waiting.py            what waits for a worker: who of many tenants is next, and for about how long it takes
    tombstones.py         what stays of a generation whose record has gone
    tags.py               what a submitter calls a generation, by which lists find it
    limits.py             how much a tenant may ask for
    api_keys.py           what is kept of an API key
    packing.py            a generation as one object of an archive
    sealing.py            what is stored of a generation, encrypted; tenant_keys.py: what its key is wrapped with
    turns.py              long work in slices, so that all others go on; aside.py: what cannot be sliced, beside the loop
    collecting.py         when a process looks for cyclic garbage

    store/                the two roles of Redis: connections, the atomic steps, the one way to submit
    processes/            processes that start others, and end with them
    tools/                tools that the server runs for a model: what one is, and how modules of them are loaded
    local/                `make up`: all of it on one machine, with a server of its own

Then worker/__init__.py, for how a generation is produced, and api/__init__.py, for how it is watched. The wire is
docs/protocol.md, the whole in pictures and tables docs/architecture.md, the reasons docs/decisions/.

Dependencies run downwards only: api and worker import broker, which imports neither; nothing imports broker/local.
"""
