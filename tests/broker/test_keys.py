"""The names and the lives of what is in Redis: processes of two versions must agree on them while one replaces the other."""

import re
from importlib.resources import files

import pytest

from broker import keys

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

TURNS = ("turns", "turns:background", "turns:ageing", "turns:bound", "turns:level", "coming")
"""Named by turns.lua alone."""
NAMES = {
    "{gen}:record": keys.record("gen"),
    "{gen}:log": keys.log("gen"),
    "{gen}:was": keys.tombstone("gen"),
    "{gen}:webhook": keys.webhook("gen"),
    "{gen}:live": keys.live("gen"),
    "respool:due": keys.DUE,
    "respool:expiring": keys.EXPIRING,
    "respool:starting": keys.STARTING,
    "respool:running": keys.RUNNING,
    "respool:tenants": keys.TENANTS,
    "respool:index:<state>": keys.index("<state>"),
    "respool:<tenant>:index:<state>": keys.index("<state>", "<tenant>"),
    "respool:tag:<digest>": keys.tag("<digest>"),
    "respool:<tenant>:tag:<digest>": keys.tag("<digest>", "<tenant>"),
    "respool:tags:<generation>": keys.tags("<generation>"),
    "respool:name:<kind>:<digest>": keys.name("<kind>", "<digest>"),
    "respool:<tenant>:name:<kind>:<digest>": keys.name("<kind>", "<digest>", "<tenant>"),
    "respool:unshown:<digest>": keys.unshown("<digest>"),
    "respool:<tenant>:unshown:<digest>": keys.unshown("<digest>", "<tenant>"),
    "respool:rate:<key>": keys.rate("", "<key>"),
    "respool:<tenant>:rate:<key>": keys.rate("<tenant>", "<key>"),
    "respool:used": keys.used(""),
    "respool:<tenant>:used": keys.used("<tenant>"),
    "respool:charges": keys.charges(""),
    "respool:<tenant>:charges": keys.charges("<tenant>"),
    "respool:idem:<sha256>": keys.idempotency("<sha256>"),
    "respool:queue": keys.queue(),
    "respool:<tenant>:queue": keys.queue("<tenant>"),
    "respool:pace": keys.PACE,
    "respool:slots": keys.SLOTS,
    **{f"respool:{name}": f"respool:{name}" for name in TURNS},
    "respool:wake": keys.WAKE,
    "respool:cancel": keys.CANCELS,
    "respool:sync": keys.SYNC,
    "{gen}:sync": keys.sync("gen"),
    "respool:worker:<name>": keys.worker("<name>"),
    "respool:identity": keys.IDENTITY,
    "respool:pepper": keys.PEPPER,
    "respool:sealing:<key>": keys.sealing("<key>"),
    "respool:recovered": keys.RECOVERED,
    "respool:recovering": keys.RECOVERING,
    "respool:logs:<role>": keys.announced("<role>"),
    "respool:weights": keys.WEIGHTS,
    "respool:key:<id>": keys.api_key("<id>"),
    "respool:keys": keys.API_KEYS,
    "respool:revoked": keys.REVOKED,
    "respool:links:revoked": keys.LINKS_REVOKED,
    "respool:links:secret": keys.LINK_SECRET,
    "respool:cell": keys.CELL,
    "respool:probe": keys.PROBE,
    "respool:webhooks": keys.WEBHOOKS,
    "respool:upstream:<digest>": keys.upstream("<digest>")[0],
    "respool:upstream:<digest>:calls": keys.upstream("<digest>")[1],
    "respool:upstream:<digest>:waiting": keys.upstream("<digest>")[2],
    "respool:upstreams": keys.UPSTREAMS,
    "respool:held": keys.HELD,
    "respool:erasing": keys.ERASING,
    "respool:erased": keys.ERASED,
    "respool:erased:newest": keys.NEWEST,
    "respool:rewritten:<run>": keys.rewritten("<run>"),
    "respool:archive": keys.ARCHIVE,
    "respool:archive:swept": keys.ARCHIVE_SWEPT,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_key_has_the_name_by_which_other_versions_know_it(name: str) -> None:
    assert NAMES[name] == name


def test_the_table_at_the_top_of_the_page_has_all_of_them() -> None:
    told = set(re.findall(r"`((?:\{gen\}|respool):[^`]+)`", keys.__doc__ or ""))
    assert told == set(NAMES)


def test_each_life_is_as_long_as_the_documents_say() -> None:
    lives = {name: value for name, value in vars(keys).items() if name.endswith("_MS")}
    assert lives == {
        "DAY_MS": 24 * HOUR_MS,
        "WAITING_MS": 7 * 24 * HOUR_MS,
        "INDEX_MS": 400 * 24 * HOUR_MS,
        "REMEMBERED_MS": 24 * HOUR_MS,
        "DELIVERY_MS": 36 * HOUR_MS,
        "IDEMPOTENCY_MS": 24 * HOUR_MS,
        "NAME_SLACK_MS": 14 * 24 * HOUR_MS,
        "UNSHOWN_MS": 2 * MINUTE_MS,
        "CLAIMED_MS": 30_000,
        "WEIGHTS_MS": 24 * HOUR_MS + MINUTE_MS,
        "KEY_REMEMBERED_MS": 30 * 24 * HOUR_MS,
        "LINKS_REVOKED_MS": 25 * HOUR_MS,
        "WAKE_MS": MINUTE_MS,
        "SYNC_MS": MINUTE_MS,
        "HEARTBEAT_MS": 15_000,
        "COMING_MS": 10_000,
        "PACE_MS": 5 * MINUTE_MS,
        "PROBE_MS": MINUTE_MS,
        "BUDGET_MS": 2 * HOUR_MS,
        "RECOVERING_MS": 15_000,
        "TOLD_MS": 10 * MINUTE_MS,
        "SWEPT_MS": 22 * HOUR_MS,
        "SWEEPING_MS": 10 * MINUTE_MS,
    }


def test_there_is_an_index_of_each_state() -> None:
    assert keys.STATES == ("queued", "running", "completed", "failed", "cancelled")
    script = (files("broker.store.lua") / "tenants.lua").read_text()
    assert f"local STATES = {{ {', '.join(map(repr, keys.STATES))} }}" in script


def test_turns_are_kept_where_the_page_says() -> None:
    script = (files("broker.store.lua") / "turns.lua").read_text()
    assert set(re.findall("'respool:([a-z:]+)'", script)) == set(TURNS)


def test_a_record_tells_whose_it_is() -> None:
    assert keys.generation(keys.record("gen_1")) == "gen_1"
    assert keys.generation("{gen_1}:rec}ord") == "gen_1", "as the cluster reads a hash tag"


def test_what_a_webhook_tells_is_put_aside_for_as_long_as_the_page_says() -> None:
    script = (files("broker.store.lua") / "hooks.lua").read_text()
    assert f"local DELIVERY_MS = {keys.DELIVERY_MS}  --" in script
