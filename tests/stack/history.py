"""Days of a company's metrics, as Prometheus would hold them: written as OpenMetrics, made into blocks by promtool."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from costspan import names
from stack.processes import program

DAYS = 9
FINE_MINUTES = 7 * 60
"""So far back there is a sample a minute, before that one in ten."""
Labels = dict[str, str]


class Phase(NamedTuple):
    """What is different from `since` to `until` minutes ago."""

    since: float
    until: float
    different: Mapping[str, float]


def since(minutes: float, until: float = 0, **different: float) -> Phase:
    return Phase(minutes, until, different)


class Traffic(NamedTuple):
    """Calls of one service for one team to one model."""

    service: str = "shop"
    team: str = "search"
    provider: str = "openai"
    model: str = "gpt-5"
    calls: float = 20.0
    """A minute."""
    cost: float = 0.01
    """US dollars a call."""
    failed: float = 0.002
    """Shares of calls, this and the next four."""
    slow: float = 0.01
    unpriced: float = 0.0
    unmetered: float = 0.0
    cached: float = 0.6
    """Of input tokens."""
    input_tokens: float = 1_500.0
    limited: float = 0.02
    """Attempts a call that were answered 429, or 500, and tried again."""
    broken: float = 0.01
    folded: float = 0.0
    """Label values, and errors of costspan's own, a minute."""
    errors: float = 0.0
    book_days: float = 3.0
    phases: tuple[Phase, ...] = ()
    profile: Callable[[float], float] = lambda _: 1.0
    """How busy it is at a Unix time."""
    process: str = ""
    """Tells a new release from the old one."""

    def at(self, minutes_ago: float) -> "Traffic":
        now = self
        for phase in self.phases:
            if phase.until <= minutes_ago <= phase.since:
                now = now._replace(**phase.different)
        return now

    def grown(self, at: float, minutes_ago: float, minutes: float) -> Iterator[tuple[str, Labels, float]]:
        """How much each counter grows in `minutes`."""
        is_now = self.at(minutes_ago)
        calls = is_now.calls * self.profile(at) * minutes
        failed, unpriced, unmetered = (calls * share for share in (is_now.failed, is_now.unpriced, is_now.unmetered))
        mine = {"provider": self.provider, "model": self.model, "team": self.team}
        good = calls - failed - unpriced - unmetered
        yield names.SPEND.prometheus, _labels(**mine), good * is_now.cost
        for state, count in ((names.PRICED, good), (names.UNPRICED, unpriced), (names.UNMETERED, unmetered)):
            yield names.CALLS.prometheus, _labels(state=state, **mine), count
        yield names.CALLS.prometheus, _labels(error="server_error", **mine), failed
        by_model = {"provider": self.provider, "model": self.model}
        for status, count in (("200", calls), ("429", calls * is_now.limited), ("500", calls * is_now.broken)):
            yield names.ATTEMPT_COUNT.prometheus, _labels(status=status, **by_model), count
        tokens = good * is_now.input_tokens
        yield names.USED_INPUT.prometheus, _labels(**mine), tokens
        if is_now.cached:
            yield names.USED_CACHE_READ.prometheus, _labels(**mine), tokens * is_now.cached
        within = calls * (1 - is_now.slow)
        for le, count in (("10.24", within), ("20.48", within), ("+Inf", calls)):
            yield f"{names.DURATION.prometheus}_bucket", {**_labels(**mine), "le": le}, count
        yield f"{names.DURATION.prometheus}_count", _labels(**mine), calls
        yield names.LABEL_OVERFLOW.prometheus, {_name(names.LABEL_NAME): names.TEAM}, is_now.folded * minutes
        yield names.INTERNAL_ERRORS.prometheus, {_name(names.ERROR_WHERE): "end"}, is_now.errors * minutes


def _name(attribute: str) -> str:
    return attribute.replace(".", "_")


_SHORT = {
    "provider": names.PROVIDER,
    "model": names.REQUEST_MODEL,
    "team": names.TEAM,
    "state": names.COST_STATE,
    "error": names.ERROR_TYPE,
    "status": names.HTTP_STATUS,
}


def _labels(**short: str) -> Labels:
    return {_name(_SHORT[name]): value for name, value in short.items() if value}


def _selector(metric: str, labels: Labels) -> str:
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def samples(traffic: Traffic, now: float, *, silent: float = 0, fine: int = FINE_MINUTES) -> dict[str, list[str]]:
    """Every series of `traffic`, and its samples: a value and a time. The last one is `silent` minutes before `now`."""
    at_all = {"service_name": traffic.service, "job": traffic.service, "instance": f"{traffic.model}{traffic.process}"}
    coarse = range(DAYS * 1_440, fine, -10)
    sums: dict[str, float] = {}
    made: dict[str, list[str]] = {}
    keys: dict[tuple[str, tuple[str, ...]], str] = {}
    before = DAYS * 1_440 + 10
    for ago in (*coarse, *range(fine, -1, -1)):
        if ago < silent:
            break
        at = now - ago * 60
        for metric, labels, more in traffic.grown(at, ago, before - ago):
            key = (metric, tuple(labels.values()))
            series = keys.get(key) or keys.setdefault(key, _selector(metric, {**at_all, **labels}))
            sums[series] = sums.get(series, 0.0) + more
            if not sums[series]:
                continue
            if series not in made:  # it begins at 0, as created timestamps make it
                made[series] = [f"0 {now - before * 60:.3f}"]
            made[series].append(f"{sums[series]:.9g} {at:.3f}")
        book = _selector(names.PRICE_AGE.prometheus, at_all)
        made.setdefault(book, []).append(f"{traffic.book_days * 86_400:.0f} {at:.3f}")
        before = ago
    return made


def collector_queue(now: float, fill: float, *, delivers: bool = True) -> dict[str, list[str]]:
    """The Collector's own metrics of a queue, for a quarter of an hour, and of what it has sent, for longer."""
    labels = {"exporter": "otlp_grpc/ledger", "data_type": "traces", "job": "collector"}
    times = [f"{now - ago * 60:.3f}" for ago in range(30, -1, -1)]
    size, capacity = (_selector(f"otelcol_exporter_queue_{what}", labels) for what in ("size", "capacity"))
    sent = _selector("otelcol_exporter_sent_spans", {"exporter": labels["exporter"], "job": labels["job"]})
    return {
        size: [f"{fill * 1e6:.0f} {at}" for at in times[-16:]],
        capacity: [f"1000000 {at}" for at in times[-16:]],
        sent: [f"{minute * 1_000 if delivers else 0} {at}" for minute, at in enumerate(times)],
    }


def write(folder: Path, series: Mapping[str, list[str]]) -> None:
    """Blocks of a Prometheus in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder.parent / "history.txt"
    with text.open("w") as out:
        for name in sorted(series):  # a metric's series stand together
            out.writelines(f"{name} {sample}\n" for sample in series[name])
        out.write("# EOF\n")
    command: list[Any] = [
        program("promtool"),
        "tsdb",
        "create-blocks-from",
        "--max-block-duration=486h",
        "openmetrics",
        "--quiet",
    ]
    done = subprocess.run([*command, text, folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text.unlink()
