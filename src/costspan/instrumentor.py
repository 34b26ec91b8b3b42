"""The ``opentelemetry_instrumentor`` entry point, for ``opentelemetry-instrument`` and programs that list instrumentors."""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from costspan import process

_OF_THE_BASE_CLASS = ("skip_dep_check", "raise_exception_on_conflict")


class CostspanInstrumentor(BaseInstrumentor):
    """costspan in the shape that OpenTelemetry's tools know. ``costspan.instrument()`` does the same without it."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: what is not installed is not patched, what comes later is patched as it comes."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        process.install(**{name: value for name, value in kwargs.items() if name not in _OF_THE_BASE_CLASS})

    def _uninstrument(self, **_kwargs: Any) -> None:
        process.remove()
