"""One generation in a worker's hands.

producer.py  plan, claim, attempt, and what follows from how it went
plan.py      what the next attempt does, from the record and the log; pure
users.py     what an upstream is told of who asks; pure
attempt.py   calls the upstream, puts what comes into the log, says how it went; watchdogs for silence
arrivals.py  when content came from the upstream, and what the end says of that; pure
abandonment.py  asks whether anybody watches, of what is cancelled where nobody does
rounds.py    what comes next where the request has server tools, from the blocks of the log; pure
tooled.py    an attempt's half that server tools need: the tools of a turn side by side, and what viewers see of them
toolbox.py   where a process runs tools: a bounded number, for a bounded time, whatever they do
judging.py   what becomes of that under guardrails
permits.py   when the upstream may be called, and what viewers are told of the wait
holding_back.py   what would only wait for its upstream is left in nobody's hands
retry.py     when the upstream is called again before the first token
spending.py  whether it has cost more than it may; pure
usage.py     what a generation costs, over its attempts; pure
"""
