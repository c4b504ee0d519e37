"""The chaos run: real processes, seeded faults, and a judge who believes nobody.

    make chaos SEED=7 SECONDS=600 FAULTS=all

A run is a row of rounds, each with a stack of its own: two APIs, three workers, the embedded server, the simulated upstream,
and between each process and its peers a proxy that can be slow, silent, cut, or lose an answer.

    storm   submitters, viewers and cancels, while faults of every kind asked for strike; the seed decides which and when
    heal    everything runs again; every viewer must be live or closed within 10 s
    calm    one fault at a time, measured: a worker killed, frozen, handing over; the server rewound, restarted; cancels
    judge   everything must have ended; all logs are read through the API, and the histories are judged

Every actor writes what it did and saw, in order, into `history.jsonl` of the round's folder; the judge reads nothing else. A
folder whose history proves something wrong stays in `.respool/chaos/`. The seed decides what is done, not how processes and
networks race: running it again is likely to show the same, judging the folder again is sure to.

Pure: setting (what a round is, by its seed), wishing (what is submitted), history (what was written), judge (what it proves
wrong: promises of a run, streams of viewers, results of tools, account of a generation, limits of figures, what was abandoned,
access, what was erased, who was limited, the fleet, what logs were told), summary (figures and their table), deck (which fault
is next). With I/O: proxy, wire (HTTP), cluster and store (processes), desk and passes (API keys, view links), viewers, clients
and tenants (actors), hooks (hears webhooks), faults, policies and pressing (what strikes), erasing, calm, round, evidence and
traces (what is there in the end); finding is the server tool of a run.
"""
