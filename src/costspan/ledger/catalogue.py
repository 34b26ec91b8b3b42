"""Which reports there are: the question each answers, what it groups by, which options it takes besides the common ones."""

from typing import Final, Literal, NamedTuple

Option = Literal["sort", "failed", "window", "min_cost", "z", "days", "floor", "rules", "to"]


class Report(NamedTuple):
    """One report: its question, what it groups by unless asked otherwise (None: it has no groups), what a table leaves out."""

    question: str
    by: tuple[str, ...] | None
    hidden: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()


_WIDE: Final = (
    "project", "session", "environment", "provider", "endpoint", "error_message", "ended", "finish_reasons", "cache_read_tokens",
    "reasoning_tokens", "first_chunk", "request_id", "fingerprint", "span_id", "organisation", "key_fingerprint", "address",
    "user_agent", "provider_organisation", "provider_project", "response_model", "error_code", "max_tokens", "temperature",
    "cache_write_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens",
    "context_window", "request_tier", "tier", "stream", "batch", "cost_source", "price_version", "response_id",
    "instance", "host", "request_model", "response_status", "cache_write_1h_tokens", "units", "demo", "parent_span_id",
)  # fmt: skip

REPORTS: Final[dict[str, Report]] = {
    "spend": Report("Who spent what? Calls, tokens, cost, latency and errors, by team or any other field.", ("team",)),
    "calls": Report("Which single calls were the most expensive, the slowest, or failed?", None, _WIDE, ("sort", "failed")),
    "chargeback": Report(
        "Who is charged how much? Calls, tokens, cost and its share, for each team, project and user.",
        ("team", "project", "user"),
        options=("min_cost",),
    ),
    "models": Report(
        "What does each model cost? Use, cost, cost per call, and how long half, 95 % and 99 % of its calls took at most.",
        ("model",),
    ),
    "errors": Report(
        "What fails? The rate by model, endpoint, type and status, the success rate, and the commonest messages.",
        ("model", "endpoint"),
    ),
    "latency": Report(
        "What is slow? Times of answered calls, to their first chunk and to their end, and tokens a second.", ("model",)
    ),
    "anomalies": Report(
        "Which days were unusual? Calls and cost of each day beside those of the days before it.",
        ("service", "team", "key", "model"),
        options=("z", "days", "floor"),
    ),
    "forecast": Report(
        "What will it cost? The next 30 days, this month, this year and the next, from the last 14 days.", (), options=("days",)
    ),
    "duplicates": Report(
        "Which requests were paid twice? Same request within a window, and what the repeats cost.", ("team",), options=("window",)
    ),
    "retries": Report("What do retries cost? Attempts, seconds lost, and what is known of their price.", ("model",)),
    "efficiency": Report(
        "Which calls were poor value? Odd ratios of output to input, cut short, billed but empty or refused, a full context.",
        ("model",),
    ),
    "caching": Report(
        "What does prompt caching save? How much was read from caches, what that saved, and what could be.", ("model",)
    ),
    "routing": Report(
        "What would other models have cost? The same tokens at their prices of the day, or by rules of your own.",
        ("model",),
        options=("rules", "to"),
    ),
    "coverage": Report(
        "How far can the numbers be trusted? Calls without price, usage or whole reply, and other doubts.", ("provider", "model")
    ),
    "retention": Report(
        "What is held, and how old is it? Calls and personal data by month; --by user shows what is held of each person.",
        ("month",),
    ),
}
