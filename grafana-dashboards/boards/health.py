"""The telemetry itself: does it arrive, is anything lost, is costspan well."""

from typing import Any, Final

from boards.kit import ON_CALLS, SERVICE, Query, add, board, panel, rate, total
from costspan import names
from costspan.names import CALLS, INTERNAL_ERRORS, LABEL_OVERFLOW, PRICE_AGE, prometheus_label

NO_FILTER: Final[tuple[str, ...]] = (ON_CALLS[0], ON_CALLS[1])
WHERE: Final = prometheus_label(names.ERROR_WHERE)
NAME: Final = prometheus_label(names.LABEL_NAME)
SIGNALS: Final = {"spans": "spans", "log_records": "events", "metric_points": "metric points"}


def build() -> Any:
    made = board(
        "health", "costspan: health of the telemetry", "Arrival, queues, losses, label overflow, price book, own errors."
    )
    made = add(made, "costspan", *_own())
    return add(made, "The Collector", *_collector())


def _own() -> list[Any]:
    return [
        panel(
            "timeseries",
            "Calls a second, by service",
            "A service that falls silent sends nothing, or calls nobody.",
            "reqps",
            Query(total(rate(CALLS), SERVICE), f"{{{{{SERVICE}}}}}"),
        ),
        panel(
            "timeseries",
            "costspan's own failures",
            "The program was not affected; each is a defect to report.",
            "short",
            Query(total(rate(INTERNAL_ERRORS, filters=NO_FILTER), SERVICE, WHERE), f"{{{{{SERVICE}}}}} {{{{{WHERE}}}}}"),
        ),
        panel(
            "timeseries",
            "Label values folded into other",
            "Totals stay right, attribution is lost: see docs/cardinality.md.",
            "short",
            Query(total(rate(LABEL_OVERFLOW, filters=NO_FILTER), SERVICE, NAME), f"{{{{{SERVICE}}}}} {{{{{NAME}}}}}"),
        ),
        panel(
            "timeseries",
            "Age of the price book",
            "Newer models are unpriced with an old one: costspan prices update.",
            "s",
            Query(f"max by ({SERVICE}) ({PRICE_AGE.prometheus}{{{', '.join(NO_FILTER)}}})", f"{{{{{SERVICE}}}}}"),
        ),
    ]


def _collector() -> list[Any]:
    def of(metric: str) -> list[Query]:
        """The Collector says 0 only of signals that it has had, and failures only once there are some."""
        return [
            Query(f"sum(rate(otelcol_{metric.format(signal)}[$__rate_interval])) or vector(0)", what)
            for signal, what in SIGNALS.items()
        ]

    return [
        panel(
            "timeseries", "Received a second", "What programs sent and the Collector took.", "short", *of("receiver_accepted_{}")
        ),
        panel(
            "timeseries",
            "Refused a second",
            "Programs try again; spans that wait too long are lost.",
            "short",
            *of("receiver_refused_{}"),
        ),
        panel("timeseries", "Not delivered, a second", "Sending failed for good.", "short", *of("exporter_send_failed_{}")),
        panel(
            "timeseries",
            "Waiting in queues",
            "Items on disk, by exporter. A back end that is down shows here.",
            "short",
            Query("sum by (exporter) (otelcol_exporter_queue_size)", "{{exporter}}"),
        ),
        panel(
            "timeseries",
            "Fill of queues",
            "At 1 the Collector refuses.",
            "percentunit",
            Query("max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)", "{{exporter}}"),
        ),
        panel(
            "timeseries",
            "Memory",
            "Resident memory of the Collector.",
            "bytes",
            Query("sum by (instance) (otelcol_process_memory_rss)", "{{instance}}"),
        ),
        panel("timeseries", "Series", "Held by Prometheus.", "short", Query("sum(prometheus_tsdb_head_series)", "series")),
        panel(
            "timeseries",
            "Scrapes that fail",
            "1 is a target that can't be read.",
            "short",
            Query("up == bool 0", "{{job}} {{instance}}"),
        ),
    ]
