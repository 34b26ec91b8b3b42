"""What each alert waits for, as promtool's series: when it does not fire yet, and when it does, with every label and text.

Values are promtool's: ``0+2x60`` begins at 0 and adds 2 a step, sixty times; ``_`` is a missing sample. A step is a minute
unless said.
"""

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


def duration(total: float, within: float, minutes: int) -> dict[str, str]:
    """Calls a minute, and those of at most 20.48 seconds."""
    metric = "gen_ai_client_inference_duration_seconds"
    return {
        of(f"{metric}_count"): f"0+{total}x{minutes}",
        of(f"{metric}_bucket", le="+Inf"): f"0+{total}x{minutes}",
        of(f"{metric}_bucket", le="20.48"): f"0+{within}x{minutes}",
        of(f"{metric}_bucket", le="10.24"): f"0+0x{minutes}",
    }


def outcome(good: str, failed: str) -> dict[str, str]:
    return {calls(): good, calls(error_type="server_error", costspan_cost_state=None): failed}


def total_spend(amount: str) -> tuple[Fired, ...]:
    return (({}, f"US dollars {amount} in the last hour, all teams together"),)


def queue(size: int, minutes: int = 20, kind: str = "traces") -> dict[str, str]:
    labels = {"exporter": "otlp_grpc/ledger", "data_type": kind, "service_name": None, "instance": "collector:8888"}
    return {
        of("otelcol_exporter_queue_size", **labels): f"{size}x{minutes}",
        of("otelcol_exporter_queue_capacity", **labels): f"1000000x{minutes}",
    }


AGE = of("costspan_price_book_age_seconds")
AGE_B = of("costspan_price_book_age_seconds", instance="b")
SHOP = {"service_name": "shop"}
GPT = {"gen_ai_request_model": "gpt-5"}
SEARCH, NO_TEAM = {"costspan_team": "search"}, "US dollars 108.00 in the last hour, by team (no team)"
ODD = "Team search spends far more than in this hour last week"
A_DAY = "US dollars {} in the last day, "
