"""What a `Kit` was told, as JSON lines for judging: {"type": "span" | "metric" | "event", "name", ...}, one an object.

Spans have kind, status and attributes; metrics instrument, unit, buckets and points; events severity_number and attributes.
"""

import json
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum

from telemetry_kit import Kit


def _plain(attributes: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in (attributes or {}).items()}


def _metric(metric: Any) -> dict[str, Any]:
    data = metric.data
    instrument = {Histogram: "histogram", Gauge: "gauge"}.get(type(data)) or (
        "counter" if isinstance(data, Sum) and data.is_monotonic else "updowncounter"
    )
    points = [
        {"attributes": _plain(point.attributes), "value": point.sum if instrument == "histogram" else point.value}
        for point in data.data_points
    ]
    buckets = list(data.data_points[0].explicit_bounds) if instrument == "histogram" else None
    return {
        "type": "metric",
        "name": metric.name,
        "instrument": instrument,
        "unit": metric.unit,
        "buckets": buckets,
        "points": points,
    }


def objects(kit: Kit) -> Iterator[dict[str, Any]]:
    for span in kit.spans():
        yield {
            "type": "span",
            "name": span.name,
            "kind": span.kind.name.lower(),
            "status": span.status.status_code.name.lower(),
            "attributes": _plain(span.attributes),
        }
    yield from map(_metric, kit.metrics().values())
    for event in kit.events():
        yield {
            "type": "event",
            "name": event.event_name,
            "severity_number": event.severity_number.value,
            "attributes": _plain(event.attributes),
        }


def lines(kit: Kit) -> str:
    return "".join(json.dumps(found) + "\n" for found in objects(kit))
