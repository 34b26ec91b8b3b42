"""What each alert waits for, as promtool's series: when it does not fire yet, and when it does, with every label and text.

Values are promtool's: ``0+2x60`` begins at 0 and adds 2 a step, sixty times; ``_`` is a missing sample. A step is a minute
unless said.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Fired = tuple[dict[str, str], str]
"""Labels besides severity and topic, and the summary."""


class Case(NamedTuple):
    """`fired` at the minute `at`; nothing where it is empty."""

    title: str
    at: int
    series: dict[str, str]
    fired: tuple[Fired, ...] = ()
    step: int = 1


class Rule(NamedTuple):
    severity: str
    topic: str
    description: str
    cases: tuple[Case, ...]


HOUR, DAY, WEEK = 60, 1_440, 10_080
OPENAI = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-5"}


def of(metric: str, **labels: Any) -> str:
    """A series. Its process and service are given, so that sums are over more than one label."""
    given = {"service_name": "shop", "instance": "a", **labels}
    return metric + "{" + ", ".join(f'{name}="{value}"' for name, value in given.items() if value is not None) + "}"


def spend(team: str | None = "search", model: str = "gpt-5", **labels: Any) -> str:
    return of("costspan_cost_total", costspan_team=team, gen_ai_request_model=model, **labels)


def calls(**labels: Any) -> str:
    return of("costspan_calls_total", **{**OPENAI, "costspan_cost_state": "priced", **labels})


def attempts(status: int, model: str = "gpt-5") -> str:
    return of("costspan_attempts_total", **{**OPENAI, "gen_ai_request_model": model}, http_response_status_code=status)


def tokens(kind: str = "", **labels: Any) -> str:
    return of(f"gen_ai_client_inference_usage_{kind}input_tokens_total", gen_ai_token_modality="unknown", **OPENAI, **labels)


Pieces = tuple[tuple[float, int], ...]
"""How much a counter grows a step, and for how many steps."""


def growing(*pieces: tuple[float, int]) -> str:
    """A counter from 0 on."""
    value, parts = 0.0, ["0"]
    for grows, steps in pieces:
        parts.append(f"{value + grows:.10g}+{grows:.10g}x{steps - 1}")
        value += grows * steps
    return " ".join(parts)


def duration(good: Pieces, bad: Pieces) -> dict[str, str]:
    """Calls that take at most 20.48 seconds, and that take more."""
    metric = "gen_ai_client_inference_duration_seconds"
    whole = growing(*((one + other, steps) for (one, steps), (other, _) in zip(good, bad, strict=True)))
    return {
        of(f"{metric}_count"): whole,
        of(f"{metric}_bucket", le="+Inf"): whole,
        of(f"{metric}_bucket", le="20.48"): growing(*good),
        of(f"{metric}_bucket", le="10.24"): growing(*((0, steps) for _, steps in good)),
    }


def outcome(good: Pieces, bad: Pieces) -> dict[str, str]:
    return {calls(): growing(*good), calls(error_type="server_error", costspan_cost_state=None): growing(*bad)}


def burning(
    make: Callable[[Pieces, Pieces], dict[str, str]], hours: int, short: int, least: float, above: float, text: str
) -> tuple[Case, ...]:
    """What holds for both burn rates. The long window is in hours, the short one in minutes; `least` is the share to be above."""
    at = hours * 60 + 10

    def case(title: str, *shares: tuple[float, int], a_minute: float = 10, fired: str = "") -> Case:
        bad = tuple((a_minute * share, minutes) for share, minutes in shares)
        good = tuple((a_minute * (1 - share), minutes) for share, minutes in shares)
        return Case(title, at, make(good, bad), ((SHOP, fired),) if fired else ())

    begun = int(hours * 60 * least * 0.93)
    before = min(1.0, 3 * least)
    quiet = ((10, at - 61), (0.8, 70))
    none = tuple((0.0, minutes) for _, minutes in quiet)
    return (
        case("just below", (least * 0.95, at + 10)),
        case("above", (above, at + 10), fired=f"{above:.0%} {text}"),
        case("just begun: the long window is below", (0, at - begun), (1, begun + 10)),
        case("over by now: the short window is below", (before, at - short - 1), (least * 0.9, short + 10)),
        Case("few calls in the last hour", at, make(none, quiet)),
        case("few calls, but enough", (1, at + 10), a_minute=0.9, fired=f"100% {text}"),
        Case("a night without calls", at + 200, make(((10, 60), (0, at + 200)), ((5, 60), (0, at + 200)))),
    )


def total_spend(amount: str) -> tuple[Fired, ...]:
    return (({}, f"US dollars {amount} in the last hour, all teams together"),)


def queue(size: int, minutes: int = 20, kind: str = "traces") -> dict[str, str]:
    labels = {"exporter": "otlp_grpc/ledger", "data_type": kind, "service_name": None, "instance": "collector:8888"}
    return {
        of("otelcol_exporter_queue_size", **labels): f"{size}x{minutes}",
        of("otelcol_exporter_queue_capacity", **labels): f"1000000x{minutes}",
    }


def sent(values: str, instance: str = "collector:8888") -> dict[str, str]:
    labels = {"exporter": "otlp_grpc/ledger", "server_address": "ledger", "service_name": None, "instance": instance}
    return {of("otelcol_exporter_sent_spans", **labels): values}


NOT_DELIVERED: tuple[Fired, ...] = (
    ({"exporter": "otlp_grpc/ledger"}, "2.5k calls wait for otlp_grpc/ledger, and none gets there"),
)
AGE = of("costspan_price_book_age_seconds")
AGE_B = of("costspan_price_book_age_seconds", instance="b")
SHOP = {"service_name": "shop"}
GPT = {"gen_ai_request_model": "gpt-5"}
SEARCH, NO_TEAM = {"costspan_team": "search"}, "US dollars 108.00 in the last hour, by team (no team)"
ODD = "Team search spends far more than in this hour last week"
A_DAY = "US dollars {} in the last day, "
