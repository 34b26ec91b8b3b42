"""How long calls take, how soon streams begin, and how fast tokens come."""

from typing import Any

from boards.kit import MODEL, Query, add, board, panel, quantile, rate, ratio, total
from costspan.names import (
    CALLS,
    DURATION,
    EMBEDDINGS_DURATION,
    TIME_PER_OUTPUT_CHUNK,
    TIME_TO_FIRST_CHUNK,
    USED_INPUT,
    USED_OUTPUT,
    Metric,
)

SHARES = (0.5, 0.95, 0.99)


def build() -> Any:
    made = board("latency", "costspan: latency and throughput", "Duration, time to first chunk, tokens a second.")
    made = add(made, "Duration", *_of(DURATION, "A call", "From the request to the end of the reply, retries included."))
    made = add(made, "Streams", *_of(TIME_TO_FIRST_CHUNK, "First chunk", "From the request to the first chunk of a stream."))
    return add(made, "Throughput", *_throughput())


def _of(metric: Metric, what: str, description: str) -> list[Any]:
    return [
        panel(
            "timeseries",
            f"{what}: quantiles",
            description,
            "s",
            *(Query(quantile(share, metric), f"{share * 100:g} in 100", exemplar=share == SHARES[1]) for share in SHARES),
        ),
        panel(
            "heatmap",
            f"{what}: all",
            f"{description} Dots are calls: click one for its trace.",
            "s",
            Query(total(rate(metric, suffix="_bucket"), "le"), "{{le}}", exemplar=True),
        ),
        panel(
            "timeseries",
            f"{what}: 95 in 100, by model",
            description,
            "s",
            Query(quantile(0.95, metric, MODEL), f"{{{{{MODEL}}}}}"),
            width=24,
        ),
    ]


def _throughput() -> list[Any]:
    seconds = total(rate(DURATION, suffix="_sum"), MODEL)
    return [
        panel(
            "timeseries",
            "Output tokens a second of a call, by model",
            "Tokens of all calls over the seconds they took.",
            "short",
            Query(ratio(total(rate(USED_OUTPUT), MODEL), seconds), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Between chunks, 95 in 100",
            "Mean time between the chunks of one stream.",
            "s",
            Query(quantile(0.95, TIME_PER_OUTPUT_CHUNK, MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Tokens a second",
            "All calls together.",
            "short",
            Query(total(rate(USED_INPUT)), "input"),
            Query(total(rate(USED_OUTPUT)), "output"),
        ),
        panel(
            "timeseries",
            "Calls under way",
            "On average: calls a second times their seconds.",
            "short",
            Query(total(rate(DURATION, suffix="_sum"), MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Calls a second, by model",
            "Logical calls of every kind.",
            "reqps",
            Query(total(rate(CALLS), MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Embeddings, 95 in 100",
            "Duration of embeddings calls.",
            "s",
            Query(quantile(0.95, EMBEDDINGS_DURATION, MODEL), f"{{{{{MODEL}}}}}"),
        ),
    ]
