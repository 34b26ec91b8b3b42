"""The alert rules, from thresholds.toml."""

from collections.abc import Iterator

from kit import (
    A_MODEL,
    A_TEAM,
    DAY,
    DOLLARS,
    ERROR,
    FOLDED,
    MODEL,
    PROVIDER,
    SERVICE,
    SHARE,
    STATE,
    STATUS,
    TEAM,
    WHERE,
    Alert,
    Severity,
    Thresholds,
    more,
    or_zero,
    said,
)

from costspan import names
from costspan.names import (
    ATTEMPT_COUNT,
    CALLS,
    DURATION,
    INTERNAL_ERRORS,
    LABEL_OVERFLOW,
    PRICE_AGE,
    SPEND,
    USED_CACHE_READ,
    USED_INPUT,
)


def groups(limits: Thresholds) -> dict[str, list[Alert]]:
    """All rules by the group that they are evaluated in."""
    return {
        "spend": [*_spend(limits["spend"]), *_model(limits["model"])],
        "calls": [*_errors(limits["errors"]), *_latency(limits["latency"]), *_limits(limits["limits"])],
        "figures": [*_caching(limits["caching"]), *_prices(limits["prices"])],
        "telemetry": list(_telemetry(limits["telemetry"])),
    }


def _spend(at: dict[str, float]) -> Iterator[Alert]:
    spend = SPEND.prometheus
    for window, word, whole, team in (
        ("1h", "Hour", at["an_hour_usd"], at["an_hour_by_team_usd"]),
        ("24h", "Day", at["a_day_usd"], at["a_day_by_team_usd"]),
    ):
        yield Alert(
            f"CostspanSpend{word}",
            "critical",
            "spend",
            f"{more(spend, window)} > {whole:g}",
            0,
            f"{DOLLARS} in the last {word.lower()}, all teams together",
            f"More than {whole:g} US dollars.",
        )
        yield Alert(
            f"CostspanTeamSpend{word}",
            "warning",
            "spend",
            f"{more(spend, window, TEAM)} > {team:g}",
            0,
            f"{DOLLARS} in the last {word.lower()}, by team {A_TEAM}",
            f"More than {team:g} US dollars by one team.",
        )
    now, before = more(spend, "1h", TEAM), more(spend, "1h", TEAM, offset="1w")
    # a team that spent in the day before, but nothing in that hour, spent 0; one that is new has no last week to differ from
    before = or_zero(before, more(spend, "1d", TEAM, offset="1w"))
    yield Alert(
        "CostspanSpendAnomaly",
        "warning",
        "spend",
        f"{now} > {at['anomaly_times']:g} * {before} and {now} - {before} > {at['anomaly_floor_usd']:g}",
        at["anomaly_wait_minutes"],
        f"Team {A_TEAM} spends far more than in this hour last week",
        f"{DOLLARS} in the last hour: more than {at['anomaly_times']:g} times as much.",
    )


def _model(at: dict[str, float]) -> Iterator[Alert]:
    spend, times = SPEND.prometheus, at["runaway_growth_times"]
    now = more(spend, "1h", MODEL)
    share = f"{now} / scalar({more(spend, '1h')}) > {at['runaway_share']:g}"
    mean = f"{now} > {times:g} / 24 * {or_zero(more(spend, '24h', MODEL, offset='1h'), now)}"
    # neither a nightly batch nor a Monday morning is a trouble
    usual = [f"{now} > {times:g} * {or_zero(more(spend, '1h', MODEL, offset=back), now)}" for back in ("1d", "1w")]
    known = f"on () count(last_over_time({spend}[1d] offset 1d))"  # on the first day every model is new
    yield Alert(
        "CostspanRunawayModel",
        "critical",
        "model",
        f"{share} and {mean} and {' and '.join(usual)} and {now} > {at['runaway_floor_usd']:g} and {known}",
        0,
        f"Model {A_MODEL} takes {SHARE} of the last hour's spend",
        f"And more than {times:g} times what it took in a mean hour of the day before, in this hour yesterday, and last week.",
    )


def _burn(topic: str, bad: str, whole: str, counted: str, *, at: dict[str, float], budget: float, what: str) -> Iterator[Alert]:
    """Two burn rates over two windows each: the long one shows that it matters, the short one that it goes on.

    `counted` is the counter that says whether there are enough of them. Source: The Site Reliability Workbook, chapter 5.
    """
    enough = f"{more(counted, '1h', SERVICE)} > {at['least_calls_an_hour']:g}"
    burns: tuple[tuple[str, Severity, float, tuple[str, str]], ...] = (
        ("Fast", "critical", at["fast_burn_times"], ("1h", "5m")),
        ("Slow", "warning", at["slow_burn_times"], ("6h", "30m")),
    )
    for word, severity, times, windows in burns:
        burning = " and ".join(f"{bad.format(w=w)} / {whole.format(w=w)} > {times * budget:g}" for w in windows)
        yield Alert(
            f"Costspan{topic.capitalize()}Burn{word}",
            severity,
            topic,
            f"{burning} and {enough}",
            0,
            f"{SHARE} of calls by {said(SERVICE)} {what}",
            f"The budget of {budget:.2%} burns at more than {times:g} times over {windows[0]} and {windows[1]}.",
        )


def _errors(at: dict[str, float]) -> Iterator[Alert]:
    failed, calls = f'{ERROR}!=""', CALLS.prometheus
    bad = f"sum by ({SERVICE}) (rate({calls}{{{{{failed}}}}}[{{w}}]))"
    whole = f"sum by ({SERVICE}) (rate({calls}[{{w}}]))"
    yield from _burn("errors", bad, whole, calls, at=at, budget=1 - at["slo_success_share"], what="fail")


def _latency(at: dict[str, float]) -> Iterator[Alert]:
    seconds = at["slo_seconds"]
    if seconds not in DURATION.buckets:
        raise ValueError(f"thresholds.toml: latency.slo_seconds {seconds:g} is none of the buckets {DURATION.buckets}")
    whole = f"sum by ({SERVICE}) (rate({DURATION.prometheus}_count[{{w}}]))"
    within = f'sum by ({SERVICE}) (rate({DURATION.prometheus}_bucket{{{{le="{seconds:g}"}}}}[{{w}}]))'
    slow, count = f"({whole} - {within})", f"{DURATION.prometheus}_count"
    yield from _burn("latency", slow, whole, count, at=at, budget=1 - at["slo_share"], what=f"take more than {seconds:g} s")


def _limits(at: dict[str, float]) -> Iterator[Alert]:
    by, attempts = (PROVIDER, MODEL), ATTEMPT_COUNT.prometheus
    limited = f'{STATUS}="429"'
    share = f"{more(attempts, '10m', *by, only=limited)} / {more(attempts, '10m', *by)}"
    enough = f"{more(attempts, '1h', *by)} > {at['least_attempts_an_hour']:g}"
    which = f"{said(PROVIDER)} {A_MODEL}"
    yield Alert(
        "CostspanRateLimited",
        "warning",
        "limits",
        f"{share} > {at['rate_limited_share']:g} and {enough}",
        at["wait_minutes"],
        f"{which} refuses {SHARE} of attempts for their rate",
        "Attempts answered 429 in the last 10 minutes.",
    )
    a_call = f"{more(attempts, '10m', *by)} / ({more(CALLS.prometheus, '10m', *by)} > 0)"
    yield Alert(
        "CostspanRetryStorm",
        "warning",
        "limits",
        f"{a_call} > {at['retry_storm_attempts_a_call']:g} and {enough}",
        at["wait_minutes"],
        f'{which} needs {{{{ $value | printf "%.1f" }}}} attempts a call',
        "Retries multiply load, and some of them are billed.",
    )


def _caching(at: dict[str, float]) -> Iterator[Alert]:
    def share(offset: str = "") -> str:
        read, whole = (more(metric.prometheus, "1h", MODEL, offset=offset) for metric in (USED_CACHE_READ, USED_INPUT))
        return f"{or_zero(read, whole)} / ({whole} > {at['least_input_tokens_an_hour']:.0f})"

    yield Alert(
        "CostspanCacheHitDrop",
        "warning",
        "caching",
        f"{share('1d')} - {share()} > {at['drop_share']:g}",
        0,
        f"{A_MODEL} reads {SHARE} less of its input from caches than a day ago",
        "A prompt's beginning has changed, or caching was lost: the same input costs more.",
    )


def _prices(at: dict[str, float]) -> Iterator[Alert]:
    calls, by = CALLS.prometheus, (PROVIDER, MODEL)
    unpriced = more(calls, "1h", *by, only=f'{STATE}="{names.UNPRICED}"')
    yield Alert(
        "CostspanUnpricedModel",
        "warning",
        "prices",
        f"{unpriced} > {at['unpriced_calls_an_hour']:g}",
        0,
        f"{said(PROVIDER)} {A_MODEL} has no price: spend is too low",
        '{{ $value | printf "%.0f" }} calls in the last hour cost an unknown amount.',
    )
    unknown = more(calls, "1h", PROVIDER, only=f'{STATE}=~"{names.UNMETERED}|{names.PARTIAL}"')
    whole = more(calls, "1h", PROVIDER)
    yield Alert(
        "CostspanUnmeteredShare",
        "warning",
        "prices",
        f"{unknown} / {whole} > {at['unmetered_share']:g} and {whole} > {at['least_calls_an_hour']:g}",
        0,
        f"{SHARE} of calls to {said(PROVIDER)} say no usage",
        "What they cost is unknown.",
    )
    yield Alert(
        "CostspanPriceBookStale",
        "info",
        "prices",
        f"max by ({SERVICE}) ({PRICE_AGE.prometheus}) > {at['book_age_days'] * DAY:.0f}",
        0,
        f"{said(SERVICE)} prices calls with a book {{{{ $value | humanizeDuration }}}} old",
        "Newer models are unpriced with it.",
    )


def _telemetry(at: dict[str, float]) -> Iterator[Alert]:
    silent, back, age = f"{at['silent_minutes']:g}m", f"{at['silent_looks_back_hours']:g}h", PRICE_AGE.prometheus
    # every program sends the age of its price book, also when it calls nobody; what ran for less than half an hour was a batch
    there = f"count_over_time(count({age})[{back}:5m] offset {silent})"
    yield Alert(
        "CostspanTelemetrySilent",
        "critical",
        "telemetry",
        f"absent_over_time({age}[{silent}]) and on () {there} >= {at['silent_was_there_minutes'] / 5:g}",
        0,
        f"No program has sent metrics for {silent}",
        "Programs, the network to the Collector, the Collector, or its scrape: one of them is down.",
    )
    yield Alert(
        "CostspanLabelOverflow",
        "warning",
        "telemetry",
        f"sum by ({SERVICE}, {FOLDED}) (increase({LABEL_OVERFLOW.prometheus}[15m])) > 0",
        0,
        f"{said(SERVICE)} folds values of {said(FOLDED)} into other",
        "Totals stay right; who they belong to is lost in metrics, not in the ledger.",
    )
    yield Alert(
        "CostspanInternalErrors",
        "info",
        "telemetry",
        f"sum by ({SERVICE}, {WHERE}) (increase({INTERNAL_ERRORS.prometheus}[15m])) > 0",
        0,
        f"costspan failed in {said(SERVICE)}, at {said(WHERE)}",
        "The program was not affected; some facts of its calls may be missing.",
    )
    waiting = " or ".join(
        f'otelcol_exporter_queue_size{{data_type="{kind}"}} > 0 '
        f"unless on (exporter, instance) increase(otelcol_exporter_sent_{sent}[5m]) > 0"
        for kind, sent in (("traces", "spans"), ("logs", "log_records"))
    )
    yield Alert(
        "CostspanNotDelivered",
        "warning",
        "telemetry",
        f"max by (exporter) ({waiting})",
        at["undelivered_minutes"],
        "{{ $value | humanize }} calls wait for {{ $labels.exporter }}, and none gets there",
        "Its back end is down, or refuses them. Nothing is lost while the queue has room.",
    )
    yield Alert(
        "CostspanQueueFilling",
        "warning",
        "telemetry",
        f"max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity) > {at['queue_fill_share']:g}",
        at["queue_wait_minutes"],
        f"The Collector's queue to {said('exporter')} is {SHARE} full",
        "Full, it refuses: programs then lose spans.",
    )
