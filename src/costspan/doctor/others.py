"""Other instrumentations beside costspan: what they send to providers, and what they count too."""

import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from costspan.doctor.finding import Finding

SECTION: Final = "Other instrumentations"
GROUP: Final = "opentelemetry_instrumentor"
PROPAGATING: Final = ("httpx", "requests", "aiohttp-client", "aiohttp_client", "urllib3", "urllib", "botocore")
"""Names of HTTP client instrumentations: they put trace context, and baggage where it is on, into every request."""
GENAI: Final = (
    "openai",
    "anthropic",
    "google",
    "vertexai",
    "bedrock",
    "mistral",
    "cohere",
    "groq",
    "together",
    "ollama",
    "litellm",
)
FRAMEWORK: Final = (
    "langchain",
    "llamaindex",
    "llama_index",
    "crewai",
    "dspy",
    "haystack",
    "openai_agents",
    "smolagents",
    "pydantic",
)


def check() -> Iterator[Finding]:
    """Entry points of the launcher that are installed, as far as they concern calls to models."""
    off = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    points = [point for point in entry_points(group=GROUP) if point.name not in off and point.name != "costspan"]
    if not any(point.name == "costspan" for point in entry_points(group=GROUP)):
        yield Finding(
            SECTION,
            "problem",
            "costspan's own entry point is missing",
            "Install it again: pip install --force-reinstall costspan",
        )
    baggage = "baggage" in os.environ.get("OTEL_PROPAGATORS", "tracecontext,baggage")
    propagating = [point.name for point in points if point.name in PROPAGATING]
    if propagating:
        yield _propagation(propagating, baggage)
    counting = sorted({_package(point) for point in points if _is_genai(point)})
    if counting:
        yield Finding(
            SECTION,
            "warning",
            f"these make spans of the same calls, with the same tokens: {', '.join(counting)}",
            "costspan's metrics and the ledger count each call once; a back end that sums spans counts it twice. Switch one off: "
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        )
    if not propagating and not counting:
        yield Finding(SECTION, "ok", "none that sends trace context to providers or counts the same calls")


def _propagation(names: list[str], baggage: bool) -> Finding:
    what = "trace context and baggage" if baggage else "trace context"
    advice = "Providers get it with every call. Leave baggage out: OTEL_PROPAGATORS=tracecontext" if baggage else ""
    return Finding(
        SECTION, "warning" if baggage else "note", f"{', '.join(names)}: puts {what} into requests to every host", advice
    )


def _is_genai(point: EntryPoint) -> bool:
    name = point.name.lower().replace("-", "_")
    return any(part in name for part in GENAI) and not any(part in name for part in FRAMEWORK)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]
