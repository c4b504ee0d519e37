"""The hubs of several cells as one: who is asked for which id."""

from dataclasses import fields
from typing import Any, cast

from api.access.gate import ANONYMOUS
from api.dialects.native import NATIVE
from api.viewing.framing import plain
from api.viewing.hub import Hub, HubStatistics
from api.viewing.hubs import Hubs
from api.viewing.rendition import View
from broker.ids import BEGINNING, new_generation_id

VIEW = View(NATIVE, plain)
FIGURES = range(1, len(fields(HubStatistics)))


class Asked:
    """A hub that notes what it is asked."""

    def __init__(self, *, up: bool = True) -> None:
        self.asked: list[tuple[str, str]] = []
        self.up = up

    def knows(self, id_: str, *_: object) -> bool:
        self.asked.append(("knows", id_))
        return True

    def attach(self, id_: str, *_: object, **__: object) -> str:
        self.asked.append(("attach", id_))
        return "viewer"

    def detach(self, viewer: Any) -> None:
        self.asked.append(("detach", viewer.id))

    def send_away(self, viewer: Any) -> None:
        self.asked.append(("send_away", viewer.id))

    def statistics(self) -> HubStatistics:
        return HubStatistics(self.up, *FIGURES)


class Viewing:
    def __init__(self, id_: str) -> None:
        self.id = id_


def test_each_id_is_its_cell_s_and_one_of_a_cell_that_there_is_not_is_known_to_none() -> None:
    cells = {0: Asked(), 3: Asked()}
    hubs = Hubs(cast(dict[int, Hub], cells))
    for cell, asked in cells.items():
        id_ = new_generation_id(cell)
        viewer = cast(Any, Viewing(id_))
        assert hubs.knows(id_, BEGINNING, VIEW, ANONYMOUS)
        assert cast(Any, hubs.attach(id_, BEGINNING, VIEW, who=ANONYMOUS, ended=False)) == "viewer"
        hubs.send_away(viewer)
        hubs.detach(viewer)
        assert asked.asked == [(what, id_) for what in ("knows", "attach", "send_away", "detach")]
    assert not hubs.knows(new_generation_id(4), BEGINNING, VIEW, ANONYMOUS)
    assert len(cells[0].asked) == len(cells[3].asked) == 4


def test_their_figures_are_added_up_and_they_are_up_when_all_are() -> None:
    up, down = Asked(), Asked(up=False)
    both = Hubs(cast(dict[int, Hub], {0: up, 1: up})).statistics()
    assert both == HubStatistics(True, *(2 * figure for figure in FIGURES))
    assert not Hubs(cast(dict[int, Hub], {0: up, 1: down})).statistics().up
