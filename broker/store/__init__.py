"""The two roles of Redis.

address.py              where the server of a URL is now; sentinels.py: what a primary's Sentinels say of that
client.py               clients: how long they wait, how they retry, which errors they raise
connections.py          what they consist of; pool.py: whose turn it is; following.py: those that go where a primary goes
safety.py               whether a Redis keeps what it is given
wire.py                 a connection of our own: the token path, appends and what is published, speaks to Redis itself
lanes.py                which way appends go: to one server, or to the primaries of a cluster
cluster.py, topology.py   logs on a cluster: commands go where their keys are
lua/                    the atomic steps: common.lua, then claim.lua, append.lua and finish.lua; the headers are the contract
log_steps.py, appends.py, coordination_steps.py   the same steps as typed functions; one_server.py: those of both roles at once
logs.py                 the role that has a generation's record, log and cancel key
vault.py                data keys in hand; unsealing.py: what was read, opened; key_proof.py: whether all have the same keys
reading.py              a log page by page, and what it amounts to
coordination.py         the role that has `due`, the queue and the indexes; queue.py: all of arq's queue
accepting.py            the one way to submit: once, whatever breaks in between
limiting.py             the limits of tenants: what of them is used, and requests that are counted
derived.py              ids that idempotency keys give, where coordination may forget these
indexes.py              filing what has ended
recovery.py             what coordination has lost, put back from the records
archive.py              objects in a bucket or a folder; shelf.py: those that were read, kept
budget_steps.py         what all workers may ask of an upstream: its scripts, typed
archiving.py, archive_steps.py   what archivers have to do, and the step that takes a log out of Redis
erasing.py, erase_steps.py   a generation of which nothing stays, whatever breaks in between
waits.py                for how long they wait who wait: asked of Redis once for all
shares.py               how submits were shared out among cells of late: for idempotency keys
agreement.py            whether APIs and workers keep logs on one server
strict_end.py           ends that must not be taken back, kept back until they are safe; disk.py waits until Redis has written
fsyncs.py               when what Redis has written is on its disk
api_keys.py             what is kept of API keys; links.py: of view links; revocations.py hears which were revoked
unshown.py              what nobody was shown of what was asked for, for who asks again without a name
names.py                which generation a name stands for that a client gave: of a chat, of a thread
webhooks.py             what is to be told by webhooks, and when; webhook_steps.py: what became of it
"""
