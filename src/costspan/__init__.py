"""costspan: every call a Python program makes to a language model, as a priced and attributed OpenTelemetry span.

    import costspan
    costspan.instrument()

or, without a line of code, ``opentelemetry-instrument python app.py``.
"""

from typing import Any

from costspan import process
from costspan.labels import label
from costspan.settings import SettingsError

__all__ = ["SettingsError", "__version__", "instrument", "label", "uninstrument"]
__version__ = process.VERSION


def instrument(*, tracer_provider: Any = None, meter_provider: Any = None, logger_provider: Any = None, **settings: Any) -> None:
    """Instrument this process, once: calling it again changes nothing.

    Providers: those given, else the global ones, else the SDK is set up with OTLP export from the OTEL_* variables.
    `settings` are those of docs/settings.md in lower case without their prefix: ``labels={"team": "search"}``.

    Raises:
        SettingsError: a setting that is not usable, named with its value.
        PriceFileError, KeyFileError: a file that a setting names is not usable; file, line and key are named.
    """
    process.install(tracer_provider=tracer_provider, meter_provider=meter_provider, logger_provider=logger_provider, **settings)


def uninstrument() -> None:
    """Take every patch back: the very same objects stand where they stood."""
    process.remove()
