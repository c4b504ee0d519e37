"""What has ended is filed, whoever comes by; what has not is left as it is, and told of."""

from broker import keys
from broker.ids import new_generation_id
from broker.store.indexes import file_ended
from tests.broker.store.scripted import Generation, Server


def listed(server: Server, id_: str) -> set[str]:
    """The states that it is listed under."""
    return {state for state in keys.STATES if server.command("ZSCORE", keys.index(state), id_) is not None}


def test_what_has_ended_is_listed_so_and_of_the_others_it_is_said_what_they_do(server: Server) -> None:
    queued, running, ended = (Generation(server) for _ in range(3))
    for each in (queued, running, ended):
        each.create()
        server.do(server.coordination.submit(each.id, None, "f", 3000))
    running.granted()
    ended.finish(ended.granted(), 1)
    nobody = new_generation_id()
    for _ in range(2):
        looks = server.do(file_ended(server.logs, server.coordination, [queued.id, nobody, ended.id, running.id]))
        seen = {id_: look and look.state for id_, look in looks.items()}
        assert seen == {queued.id: "queued", nobody: None, running.id: "running"}
        assert listed(server, ended.id) == {"completed"}
        assert listed(server, queued.id) == listed(server, running.id) == {"queued"}


def test_where_nothing_has_ended_nothing_is_filed(server: Server) -> None:
    queued = Generation(server)
    queued.create()
    assert server.do(file_ended(server.logs, server.coordination, [queued.id])).keys() == {queued.id}
    assert server.command("KEYS", "respool:*") == []
