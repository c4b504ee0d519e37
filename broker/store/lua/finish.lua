#!lua flags=allow-oom
-- uses clock, hooks, common, cost, ending
-- Ends a generation: the terminal entry, the terminal state and the figures in one step. It may use memory beyond the
-- limit, as the end of a running generation must be tellable when Redis is full. The entry gets an attempt of its own, as
-- all ends do: its figures hold the time, so a finish repeated after Redis lost the first one would give its id other bytes.
--
-- KEYS  record, log, tombstone, webhook
-- ARGV  channel, attempt, seq behind its last entry, remembered ms, state, stop reason (of a cancel: why, or ''), error code,
--       error message, retryable '0' | '1', HTTP status of the error, seconds that the upstream asked to wait (or 'null'), what the
--       worker has measured ('': nothing): the members of `metrics` that a script cannot know, JSON;
--       JSON of the `withdraw` that takes the place of all that was put out ('': it stays)
-- Returns {'ended', state} if it had ended before, and, if it has now, behind these the ordinal, ms of the submit, ms of the
-- retention, 1 if a webhook is to tell it, its owner or '', and, if that one is charged for it, its usage and the bytes
-- that are kept of it; or refuses:
--   {'fenced'}        another attempt runs, or there is no record, or its log has gone
--   {'behind', seq}   the log ends at seq, before the entry that should precede the end
return finish(KEYS, ARGV, now_ms())
