"""Settings of the worker process, beside those that all processes share."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from broker.breaker import Rules
from broker.budgets import Limits
from broker.cells import chosen
from broker.ids import MOST_CELLS
from broker.settings import BrokerSettings
from broker.upstreams import DEFAULT_NAME


class WorkerSettings(BrokerSettings):
    """Times are seconds."""

    cell: int | None = Field(default=None, ge=0, le=MOST_CELLS - 1)
    """The number of the cell that this worker serves; not set: the only one."""
    max_jobs: int = Field(default=200, ge=1, le=5000)
    """Generations that one process runs at once."""
    lease: float = Field(default=10.0, ge=0.5, le=60)
    """How long an attempt stays granted without a sign of life. Renewed at a third of it."""
    most_attempts: int = Field(default=3, ge=1, le=20)
    """Attempts of a generation that may count: those that got no further than one before them, and were not handed over."""
    attempts_in_all: int = Field(default=20, ge=1, le=100)
    sweep_every: float = Field(default=0.5, gt=0, le=10)
    drain: float = Field(default=10.0, ge=0, le=600)
    """How long SIGTERM waits for running generations before it hands them over."""
    first_token_timeout: float = Field(default=30.0, gt=0, le=600)
    idle_timeout: float = Field(default=30.0, gt=0, le=600)
    upstream_tries: int = Field(default=4, ge=1, le=10)
    """Calls of the upstream per attempt, as long as no token has come."""
    retry_after_cap: float = Field(default=20.0, ge=0, le=300)
    """An upstream that asks for a longer pause is called again after this one."""
    upstream_concurrent: int | None = Field(default=None, ge=1, le=100_000)
    """Calls at a time of one model with one key, by all workers of a cell. Not set: any number."""
    upstream_requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    """The same, of calls in any minute."""
    upstream_tokens_per_minute: int | None = Field(default=None, ge=1, le=10_000_000_000)
    """The same, of tokens of prompts and answers."""
    upstream_breaker_failures: int = Field(default=10, ge=0, le=10_000)
    """So many overloads of a model in half a minute, half of its calls or more, and it is not called for a while. 0: it is."""
    upstream_breaker_pause: float = Field(default=5.0, ge=0.1, le=60)
    """For how long at first."""
    max_unwritten: int = Field(default=256, ge=1, le=10_000)
    """Entries of one generation that may wait for Redis; beyond them upstream is not read."""
    append_pace_ms: int = Field(default=0, ge=0, le=1000)
    """Milliseconds that tokens of one generation may wait for later ones to share an append with. 0: none waits. The first
    token and the end never do."""
    max_output_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    webhook_timeout: float = Field(default=15.0, ge=0.5, le=60)
    """How long a receiver may take to answer."""
    prices: Path | None = None
    """A file of what tokens cost, by model. Not set: no cost is told."""
    rewrite_every: float | None = Field(default=None, ge=600, le=30 * 86_400)
    """Seconds after which Redis is asked to rewrite its append-only file. Not set: the retention."""
    outage: float = Field(default=120.0, gt=0)
    """How long a worker keeps a finished generation's end in hand while Redis is away."""
    tool_timeout: float = Field(default=60.0, gt=0, le=3600)
    """How long one call of a server tool may take, the wait for its turn included."""
    tools_at_once: int = Field(default=32, ge=1, le=1000)
    """Calls of server tools that run at a time in one process. A thread whose time was over counts until it ends."""
    tool_result_bytes: int = Field(default=64 * 1024, ge=256, le=1024 * 1024)
    """The largest result of a tool; a larger one is told to the model as a failure."""

    def of_its_cell(self) -> Self:
        """The settings of a worker of the cell that is chosen. Raises BadCells."""
        cell = chosen(self.all_cells, self.cell)
        return self.of(cell).model_copy(update={"cell": cell.number})

    @property
    def upstream_names(self) -> tuple[str, ...]:
        return (DEFAULT_NAME,) if self.upstreams is None else tuple(each.name for each in self.upstreams)

    @model_validator(mode="after")
    def _tenants_can_be_called_for(self) -> Self:
        for name, setting in self.all_tenants.entries():
            if (why := setting.why_not_called(self.upstream_names)) is not None:
                raise ValueError(f"RESPOOL_TENANTS: {name}: {why}")
        return self

    @property
    def upstream_limits(self) -> Limits:
        """Where an entry of `upstreams` does not say otherwise."""
        return Limits(
            concurrent=self.upstream_concurrent,
            requests_per_minute=self.upstream_requests_per_minute,
            tokens_per_minute=self.upstream_tokens_per_minute,
        )

    @property
    def breaker_rules(self) -> Rules:
        return Rules(self.upstream_breaker_failures, round(self.upstream_breaker_pause * 1000))

    @property
    def effective_rewrite_every(self) -> float:
        """Seconds."""
        return self.rewrite_every or max(600.0, self.retention)

    guardrails: str | None = None
    """Checks of what is put out, as `package.module:function`, with commas between."""
    guardrail_timeout: float = Field(default=10.0, gt=0, le=120)
    """After which a check has failed that does not say otherwise."""
    guardrail_failure: Literal["closed", "open"] = "closed"
    """What a check that raises or takes too long comes to, where it does not say: a block, or a flag."""
    deny_list: str | None = None
    """A file of regular expressions: text that matches one is blocked."""
