"""A viewer in the middle of a page when the log turns out to be another."""

from api.viewer import Viewer
from broker.events import local_frame
from broker.ids import BEGINNING
from tests.api.test_feed import Log, bytes_of, drain, entry, feed_of, take


def test_nothing_of_what_was_lost_comes_behind_the_gap() -> None:
    log = Log()
    log.entries = [entry(1, seq) for seq in range(4)]
    feed = feed_of(log.entries)
    viewer = Viewer(feed.id, feed, log, BEGINNING)
    feed.viewers[viewer] = None
    assert take(viewer) == bytes_of(log.entries[:1]), "the rest of the page waits for the socket"
    log.entries = [entry(1, 0), entry(9, 0)]
    feed.start(log.entries[-1].id, ended=False)
    viewer.reset("rewound")
    assert drain(viewer) == local_frame("gap", reason="rewound") + bytes_of(log.entries)
