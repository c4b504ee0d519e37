"""take.lua in Python, without a server: who is taken next, of lines by tenants. What holds of it is proved in test_waiting.py,
that the script does the same in store/test_turns.py."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.waiting import Line, Shares, Standing, even


@dataclass
class Lines:
    """`now` in ms; a job is (place, name), one in the background has a place that is not come yet."""

    shares: Shares = even
    now: int = 0
    left: float = 0.0
    """The highest tag of those who have left their turns."""
    waiting: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    background: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)

    @property
    def level(self) -> float:
        return min(self.ready.values(), default=self.left)

    def add(self, tenant: str, name: str, place: float | None = None) -> None:
        place = self.now if place is None else place
        insort(self.waiting.setdefault(tenant, []), (place, name))
        if place <= self.now and tenant in self.background:
            self._take_turns(tenant, self.background)
        elif not any(tenant in each for each in (self.ready, self.background, self.bound)):
            self.ready[tenant] = self.level

    def end(self, tenant: str) -> None:
        """One of its jobs leaves its slot."""
        self.running[tenant] -= 1
        if tenant in self.bound:
            self._take_turns(tenant, self.bound)

    def take(self, most: int) -> list[tuple[str, str]]:
        """The tenants and names of the jobs that are taken."""
        for tenant in list(self.background):
            if self.waiting[tenant][0][0] <= self.now:
                self._take_turns(tenant, self.background)
        taken: list[tuple[str, str]] = []
        while len(taken) < most and (turn := self._turn()) is not None:
            tags, tenant = turn
            weight, at_most = self.shares(tenant)
            jobs = self.waiting[tenant]
            if not jobs:
                self._leave(tags, tenant)
            elif at_most is not None and self.running.get(tenant, 0) >= at_most:
                self.bound[tenant] = self._leave(tags, tenant)
            elif tags is self.ready and jobs[0][0] > self.now:
                self.background[tenant] = self._leave(tags, tenant)
            else:
                if tags is self.background:
                    self.left = max(self.left, tags[tenant] + 1 / weight)
                tags[tenant] += 1 / weight
                self.running[tenant] = self.running.get(tenant, 0) + 1
                taken.append((tenant, jobs.pop(0)[1]))
                if tags is self.background and not jobs:
                    self._leave(tags, tenant)
                more = at_most is None or self.running[tenant] < at_most
                if not jobs and len(tags) == 1 and not self.background and len(taken) < most and more:
                    break  # nobody else waits: it leaves when its turn comes
        return taken

    def _take_turns(self, tenant: str, before: dict[str, float]) -> None:
        tag = before.pop(tenant)
        self.ready[tenant] = max(self.level, tag)

    def _leave(self, tags: dict[str, float], tenant: str) -> float:
        self.left = max(self.left, tags[tenant])
        return tags.pop(tenant)

    def _turn(self) -> tuple[dict[str, float], str] | None:
        tags = self.ready or self.background
        return (tags, min(tags, key=lambda tenant: (tags[tenant], tenant))) if tags else None

    def standing(self) -> Standing:
        def lines() -> Iterator[tuple[str, Line]]:
            for tenant, jobs in self.waiting.items():
                if jobs:
                    ready = sum(place <= self.now for place, _ in jobs)
                    found = next(each for each in (self.ready, self.background, self.bound) if tenant in each)
                    tag = found[tenant] if found is self.ready or not ready else max(self.level, found[tenant])
                    yield tenant, Line(tag, len(jobs), ready, self.running.get(tenant, 0), int(jobs[0][0]))

        return Standing(self.now, dict(lines()), self.level)
