"""The demo's company: its services, teams, users and models, what they do by day, and what went wrong last night.

All follows from the seed. Times are UTC. The traffic is a hundredth of the story's: 8,900 calls in the night, not 890,000.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from costspan.names import DEMO, LABEL_PREFIX

PRICES = """\
# what the gateway charges, USD a million tokens
"gpt-4.1" = { input = 2, output = 8 }
"claude-sonnet-4.5" = { input = 3, output = 15 }
"gemini-2.5-flash" = { input = 0.30, output = 2.50 }
"deepseek-v3.2" = { input = 0.10, output = 0.42 }
"""
"""The file of COSTSPAN_PRICES. The provider has a price list of its own, which is not read from here."""

NIGHT = (1, 5)
"""The hours of the night job: from, until."""
RUNAWAY_CALLS = 8_900
RUNAWAY_MODEL = "claude-sonnet-4.5"
REPEATED = 0.7
"""The part of the runaway's calls that say again what was said before."""
RUN = "demo_run"
"""The label that tells this run's calls from others in the same store."""

Way = Literal["sync", "async"]


class Service(NamedTuple):
    """One service: who it belongs to, how it asks, and how much. Tokens are (least, most) a call."""

    name: str
    team: str
    project: str
    key: str
    model: str
    way: Way
    streams: float
    """The part of its calls that are streamed."""
    asks_usage: bool
    """Whether its own code asks streams for their usage; where it doesn't, costspan does (COSTSPAN_STREAM_USAGE)."""
    users: tuple[str, ...]
    a_day: int
    tokens_in: tuple[int, int]
    tokens_out: tuple[int, int]
    share: float
    """Of the live calls."""

    @property
    def key_name(self) -> str:
        """What the key is called, as ``support-prod`` for ``sk-demo-support-prod-19af``."""
        return self.key.removeprefix("sk-demo-").rpartition("-")[0]


def _users(team: str, number: int) -> tuple[str, ...]:
    return tuple(f"{team}-{index:02d}" for index in range(1, number + 1))


RUNAWAY = Service(
    "nightly-digest", "growth", "lead-digest", "sk-demo-growth-nightly-7d31", "gemini-2.5-flash", "async", 0.3, False,
    ("svc-nightly-digest",), 60, (6_000, 18_000), (400, 1_600), 0.36,
)  # fmt: skip
SERVICES = (
    Service(
        "support-bot", "support", "helpdesk", "sk-demo-support-prod-19af", "gemini-2.5-flash", "sync", 0.5, False,
        _users("support", 24), 320, (800, 6_000), (80, 600), 0.2,
    ),
    Service(
        "search-api", "search", "ranking", "sk-demo-search-prod-c204", "deepseek-v3.2", "async", 0.0, False,
        _users("search", 40), 340, (300, 2_500), (20, 200), 0.2,
    ),
    Service(
        "docs-writer", "content", "handbook", "sk-demo-content-prod-55e0", "gpt-4.1", "async", 0.8, True,
        _users("content", 9), 160, (1_500, 12_000), (300, 2_000), 0.12,
    ),
    Service(
        "code-review", "platform", "ci", "sk-demo-platform-ci-8b6c", "claude-sonnet-4.5", "sync", 0.3, True,
        _users("platform", 16), 150, (2_000, 20_000), (150, 1_200), 0.12,
    ),
    RUNAWAY,
)  # fmt: skip
BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 12, 16, 18, 17, 14, 9, 6, 4, 3, 2, 2, 1)
"""How a day's calls spread over its hours."""


class Ask(NamedTuple):
    """One call to make, or made: who asks what of which model, and what it uses."""

    user: str
    model: str
    text: str
    tokens_in: int
    tokens_out: int
    stream: bool


class Past(NamedTuple):
    """A call of the past. `started_ns` Unix nanoseconds, `seconds` its duration; `refusals` how often a 429 came first."""

    ask: Ask
    started_ns: int
    seconds: float
    refusals: int


def resource(run: str) -> str:
    """What OTEL_RESOURCE_ATTRIBUTES says of every call of the demo: that it is demo data, and of which run."""
    return f"{DEMO}=true,{LABEL_PREFIX}{RUN}={run}"


def service(name: str) -> Service:
    """The service of that name."""
    return next(one for one in SERVICES if one.name == name)


def shares(calls: int) -> dict[str, int]:
    """How many of `calls` live calls each service makes; they add up."""
    counts = {one.name: int(calls * one.share) for one in SERVICES}
    counts[RUNAWAY.name] += calls - sum(counts.values())
    return counts


def _ask(one: Service, draw: random.Random, number: int, model: str) -> Ask:
    return Ask(
        draw.choice(one.users),
        model,
        f"{one.project} {number}: please look into this and answer in a few lines",
        draw.randint(*one.tokens_in),
        draw.randint(*one.tokens_out),
        draw.random() < one.streams,
    )


def live(one: Service, calls: int, seed: int) -> Iterator[Ask]:
    """The calls to make now. The runaway is still at it; of the others' calls, 3 in 100 repeat the one before."""
    draw = random.Random(f"live {seed} {one.name}")  # noqa: S311 - traffic, not secrets
    runaway = one.name == RUNAWAY.name
    said: list[Ask] = []
    for number in range(calls):
        if said and draw.random() < (REPEATED if runaway else 0.03):
            yield draw.choice(said) if runaway else said[-1]
            continue
        said.append(_ask(one, draw, number, RUNAWAY_MODEL if runaway else one.model))
        yield said[-1]


def last_night(now: datetime) -> datetime:
    """When the last whole night that is over began."""
    begun = now.astimezone(UTC).replace(hour=NIGHT[0], minute=0, second=0, microsecond=0)
    return begun if now >= begun + timedelta(hours=NIGHT[1] - NIGHT[0]) else begun - timedelta(days=1)


def history_start(now: datetime, days: int) -> datetime:
    """Where history begins: `days` whole days before the day of the last night."""
    return last_night(now).replace(hour=0) - timedelta(days=days)


def past(one: Service, now: datetime, days: int, seed: int) -> Iterator[Past]:
    """The calls of the last days, up to this hour, in order of time; those of the night that went wrong among them."""
    draw = random.Random(f"past {seed} {one.name}")  # noqa: S311 - traffic, not secrets
    at, end = history_start(now, days), now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    number = 0
    said: list[Ask] = []
    while at < end:
        runaway = one.name == RUNAWAY.name and last_night(now) <= at < last_night(now) + timedelta(hours=NIGHT[1] - NIGHT[0])
        for offset in sorted(draw.random() for _ in range(_calls_in(one, at, draw, runaway=runaway))):
            number += 1
            if runaway and len(said) > 10 and draw.random() < REPEATED:
                ask = draw.choice(said[-40:])
            else:
                ask = _ask(one, draw, number, RUNAWAY_MODEL if runaway else one.model)
                said = [*said[-40:], ask] if runaway else said
            refusals = int(draw.random() < (0.12 if runaway else 0.01))
            seconds = 0.3 + ask.tokens_out / 120 * (0.7 + 0.6 * draw.random())
            yield Past(ask, int((at.timestamp() + offset * 3_600) * 1e9), seconds, refusals)
        at += timedelta(hours=1)


def _calls_in(one: Service, at: datetime, draw: random.Random, *, runaway: bool) -> int:
    """Calls in the hour from `at`. The runaway's calls grow from hour to hour, as an agent's does that nobody stops."""
    if runaway:
        weights = range(1, NIGHT[1] - NIGHT[0] + 1)
        return RUNAWAY_CALLS * (at.hour - NIGHT[0] + 1) // sum(weights)
    if one.name == RUNAWAY.name:
        return one.a_day // (NIGHT[1] - NIGHT[0]) if NIGHT[0] <= at.hour < NIGHT[1] else 0
    return round(one.a_day * BY_HOUR[at.hour] / sum(BY_HOUR) * draw.uniform(0.8, 1.2))
