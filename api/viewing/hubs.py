"""The hubs of several cells as one, for who has no more than an id: each hub has its own feeds, subscription and tick, and none
waits for another's Redis."""

from collections.abc import Mapping
from dataclasses import fields

from api.access.gate import Principal
from api.viewing.hub import Hub, HubStatistics
from api.viewing.rendition import View
from api.viewing.viewer import Viewer
from broker.ids import EntryId, cell_of
from broker.waiting import Wait


class Hubs:
    """By the numbers of their cells. Every id that is given must have the shape of one; methods are as those of Hub."""

    def __init__(self, hubs: Mapping[int, Hub]) -> None:
        self._hubs = hubs

    def knows(self, id_: str, cursor: EntryId, view: View, who: Principal) -> bool:
        hub = self._hubs.get(cell_of(id_))
        return hub is not None and hub.knows(id_, cursor, view, who)

    def attach(
        self, id_: str, cursor: EntryId, view: View, *, who: Principal, ended: bool, owner: str = "", wait: Wait | None = None
    ) -> Viewer:  # fmt: skip
        return self._hubs[cell_of(id_)].attach(id_, cursor, view, who=who, ended=ended, owner=owner, wait=wait)

    def detach(self, viewer: Viewer) -> None:
        self._hubs[cell_of(viewer.id)].detach(viewer)

    def send_away(self, viewer: Viewer) -> None:
        self._hubs[cell_of(viewer.id)].send_away(viewer)

    def statistics(self) -> HubStatistics:
        """Of all of them together; `up`: all are."""
        found = [hub.statistics() for hub in self._hubs.values()]
        sums = {each.name: sum(getattr(one, each.name) for one in found) for each in fields(HubStatistics)}
        return HubStatistics(**{**sums, "up": all(one.up for one in found)})
