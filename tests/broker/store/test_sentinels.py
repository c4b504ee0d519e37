"""What Sentinels say, and whom of them is believed; against stand-ins that say what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError

from broker.store import sentinels as asking
from broker.store.sentinels import Answer, Place, Sentinels, newest

OLD, NEW, OTHER = Place("old", 1), Place("new", 2), Place("other", 3)

# -- whom to believe

ANSWERS = st.lists(st.builds(Answer, st.integers(0, 3), st.sampled_from((OLD, NEW, OTHER))), max_size=5)


@pytest.mark.parametrize(
    ("answers", "known", "chosen"),
    [
        ([], None, None),
        ([], Answer(1, OLD), None),
        ([Answer(0, OLD)], None, Answer(0, OLD)),
        ([Answer(1, OLD), Answer(2, NEW), Answer(1, OLD)], None, Answer(2, NEW)),
        ([Answer(2, OLD), Answer(2, NEW), Answer(2, NEW)], None, Answer(2, NEW)),
        ([Answer(1, OLD)], Answer(2, NEW), Answer(2, NEW)),
        ([Answer(1, OLD), Answer(1, OLD)], Answer(2, NEW), Answer(1, OLD)),
        ([Answer(2, OTHER)], Answer(2, NEW), Answer(2, OTHER)),
    ],
)
def test_the_newest_failover_is_believed_and_what_is_older_from_most_of_them_alone(
    answers: list[Answer], known: Answer | None, chosen: Answer | None
) -> None:
    assert newest(answers, 3, known) == chosen


@settings(deadline=None)
@given(ANSWERS, st.none() | st.builds(Answer, st.integers(0, 3), st.sampled_from((OLD, NEW, OTHER))))
def test_what_is_chosen_was_said_or_known_and_is_never_older_than_what_fewer_than_most_have_said(
    answers: list[Answer], known: Answer | None
) -> None:
    chosen = newest(answers, 5, known)
    assert (chosen is None) == (not answers)
    if chosen is not None:
        assert chosen in answers or chosen == known
        assert chosen.epoch >= max(answer.epoch for answer in answers)
        if known is not None and len(answers) <= 2:
            assert chosen.epoch >= known.epoch


# -- asking


class StandIn:
    """A Sentinel that says what it is told to. `mute`: it answers when it is not mute any more. `secretive`: it forbids to ask
    for the epoch. `state`: of a failover that it leads. `asked` counts questions."""

    def __init__(self, place: Place | None, epoch: int = 0) -> None:
        self.place = place
        self.epoch = epoch
        self.mute = self.secretive = False
        self.state = ""
        self.asked = 0
        self.port = 0
        self._listeners: list[asyncio.StreamWriter] = []

    def promote(self) -> None:
        self.state = "send_slaveof_noone"
        self._tell("+failover-state-send-slaveof-noone", "slave new:2 new 2 @ main old 1")

    def say(self, place: Place, epoch: int, name: str = "main") -> None:
        self.place, self.epoch, self.state = place, epoch, ""
        self._tell("+switch-master", f"{name} old 1 new 2")

    def _tell(self, channel: str, text: str) -> None:
        for listener in self._listeners:
            listener.write(_array("message", channel, text))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while words := await _command(reader):
                while self.mute:
                    await asyncio.sleep(0.01)
                writer.write(self._reply(words, writer))
        finally:
            writer.transport.abort()

    def _reply(self, words: list[str], writer: asyncio.StreamWriter) -> bytes:
        match words:
            case ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]:
                self.asked += 1
                return _array(self.place.host, str(self.place.port)) if self.place else b"*-1\r\n"
            case ["SENTINEL", "MASTER", "main"] if self.place and not self.secretive:
                state = ("failover-state", self.state) if self.state else ()
                return _array("name", "main", "ip", "before", "config-epoch", str(self.epoch), *state)
            case ["SUBSCRIBE", "+failover-state-send-slaveof-noone", "+switch-master"]:
                self._listeners.append(writer)
                return b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
            case ["PING"]:
                return _array("pong", "")
        return b"-NOPERM no\r\n"


async def _command(reader: asyncio.StreamReader) -> list[str]:
    head = await reader.readline()
    if not head:
        return []
    words = []
    for _ in range(int(head[1:])):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2].decode())
    return words


def _array(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


@asynccontextmanager
async def serving(*stand_ins: StandIn) -> AsyncIterator[Sentinels]:
    async with AsyncExitStack() as stack:
        serving: set[asyncio.Task[None]] = set()
        for each in stand_ins:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, each: StandIn = each) -> None:
                task = asyncio.current_task()
                assert task is not None
                serving.add(task)
                with suppress(asyncio.CancelledError):
                    await each.serve(reader, writer)

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            stack.callback(server.close)
            each.port = server.sockets[0].getsockname()[1]
        yield Sentinels([("127.0.0.1", each.port) for each in stand_ins], "main")
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)


def run(scene: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene

    asyncio.run(bounded())


def test_all_are_asked_and_the_newest_failover_is_what_counts() -> None:
    async def scene() -> None:
        stand_ins = StandIn(OLD, 1), StandIn(NEW, 2), StandIn(OLD, 1)
        async with serving(*stand_ins) as sentinels:
            assert sentinels.known is None
            assert await sentinels.find() == NEW
            assert sentinels.known == NEW
            assert [each.asked for each in stand_ins] == [1, 1, 1]

    run(scene())


def test_one_that_forbids_to_ask_for_the_epoch_counts_as_having_none() -> None:
    async def scene() -> None:
        secretive = StandIn(OLD, 9)
        secretive.secretive = True
        async with serving(secretive, StandIn(NEW, 1)) as sentinels:
            assert await sentinels.find() == NEW
        async with serving(secretive) as sentinels:
            assert await sentinels.find() == OLD

    run(scene())


def test_whoever_comes_while_they_are_asked_gets_the_same_answer() -> None:
    async def scene() -> None:
        stand_ins = StandIn(NEW), StandIn(NEW)
        async with serving(*stand_ins) as sentinels:
            assert set(await asyncio.gather(*(sentinels.find() for _ in range(50)))) == {NEW}
            assert [each.asked for each in stand_ins] == [1, 1]
            await sentinels.find()
            assert [each.asked for each in stand_ins] == [2, 2]

    run(scene())


def test_one_that_is_mute_holds_nobody_up_once_most_have_answered() -> None:
    async def scene() -> None:
        mute = StandIn(OLD)
        mute.mute = True
        async with serving(mute, StandIn(NEW), StandIn(NEW)) as sentinels:
            begun = asyncio.get_running_loop().time()
            assert await sentinels.find() == NEW
            assert asyncio.get_running_loop().time() - begun < asking._ASK_SECONDS

    run(scene())


def test_where_none_answers_or_knows_the_name_all_who_asked_are_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        ignorant, away = StandIn(None), StandIn(NEW)
        async with serving(ignorant, away) as sentinels:
            away.mute = True
            sentinels._hosts.append(("127.0.0.1", 1))
            found = await asyncio.gather(*(sentinels.find() for _ in range(3)), return_exceptions=True)
            assert [str(each) for each in found] == ["no Sentinel says where main is"] * 3
            assert all(isinstance(each, ConnectionError) for each in found)
            assert ignorant.asked == 1

    run(scene())
    assert "knows no primary main" in caplog.text
    assert "no answer" in caplog.text
    assert "127.0.0.1:1: ConnectionError" in caplog.text
    assert len(caplog.records) == 1


def test_one_who_stops_asking_holds_up_nobody_else() -> None:
    async def scene() -> None:
        async with serving(StandIn(NEW)) as sentinels:
            first, second = asyncio.create_task(sentinels.find()), asyncio.create_task(sentinels.find())
            await asyncio.sleep(0)
            first.cancel()
            assert await second == NEW
            assert first.cancelled()

    run(scene())


# -- a move


def test_a_move_is_told_as_soon_as_any_of_them_knows_of_it() -> None:
    async def scene() -> None:
        stand_ins = StandIn(OLD, 1), StandIn(OLD, 1), StandIn(OLD, 1)
        async with serving(*stand_ins) as sentinels:
            leaving = asyncio.create_task(sentinels.left(OLD))
            while not all(each._listeners for each in stand_ins):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert not leaving.done()
            stand_ins[2].say(NEW, 2, name="of another")
            await asyncio.sleep(0.05)
            assert not leaving.done()
            stand_ins[2].say(NEW, 2)
            await leaving
            assert await sentinels.find() == sentinels.known == NEW

    run(scene())


def test_a_primary_that_is_about_to_be_replaced_is_left_and_nobody_is_led_to_it() -> None:
    async def scene() -> None:
        leader, other = StandIn(OLD, 1), StandIn(OLD, 1)
        async with serving(leader, other) as sentinels:
            leaving = asyncio.create_task(sentinels.left(OLD))
            while not (leader._listeners and other._listeners):
                await asyncio.sleep(0.01)
            leader.promote()
            await leaving
            for leader.state in ("send_slaveof_noone", "wait_promotion"):
                with pytest.raises(ConnectionError, match="main is being replaced"):
                    await sentinels.find()
            leader.state = "reconf_slaves"
            leader.place, leader.epoch = NEW, 2
            assert await sentinels.find() == NEW

    run(scene())


def test_a_failover_that_does_not_come_to_an_end_keeps_nobody_from_the_primary_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asking._MOVE_SECONDS == 5.0
    monkeypatch.setattr(asking, "_MOVE_SECONDS", 0.2)

    async def scene() -> None:
        leader = StandIn(OLD, 1)
        leader.state = "wait_promotion"
        async with serving(leader) as sentinels:
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await sentinels.find()
                await asyncio.sleep(0.25)
                assert await sentinels.find() == OLD
                leader.state = ""
                assert await sentinels.find() == OLD
                leader.state = "wait_promotion"

    run(scene())


def test_who_is_elsewhere_already_is_told_at_once() -> None:
    async def scene() -> None:
        async with serving(StandIn(NEW, 2)) as sentinels:
            await sentinels.left(OLD)

    run(scene())


def test_a_move_is_noticed_though_no_sentinel_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_LOOK_SECONDS", 0.05)

    async def scene() -> None:
        quiet = StandIn(OLD, 1)
        async with serving(quiet) as sentinels:
            leaving = asyncio.create_task(sentinels.left(OLD))
            while not quiet._listeners:
                await asyncio.sleep(0.01)
            quiet.place, quiet.epoch = NEW, 2
            await leaving

    run(scene())


def test_sentinels_that_come_back_are_listened_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(asking, "_PING_SECONDS", 0.05)

    async def scene() -> None:
        away = StandIn(OLD, 1)
        async with serving(away) as sentinels:
            leaving = asyncio.create_task(sentinels.left(OLD))
            while not away._listeners:
                await asyncio.sleep(0.01)
            away.mute = True  # as a frozen one: its connections stay open
            await asyncio.sleep(0.3)
            away.mute = False
            while len(away._listeners) == 1:
                await asyncio.sleep(0.01)
            away.say(NEW, 2)
            await leaving

    run(scene())


def test_nobody_who_waits_for_a_move_leaves_a_task_behind() -> None:
    async def scene() -> None:
        async with serving(StandIn(OLD), StandIn(OLD)) as sentinels:
            before = asyncio.all_tasks()
            leaving = asyncio.create_task(sentinels.left(OLD))
            await asyncio.sleep(0.1)
            leaving.cancel()
            await asyncio.wait({leaving})
            ours = {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)}
            assert ours == set()

    run(scene())
