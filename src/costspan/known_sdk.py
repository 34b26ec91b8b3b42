"""Whether the OpenTelemetry SDK is one whose inner names were read and tried (`recorder`, `spans`).

By its version, and not by what it looks like: 1.45.2 has the same names as 1.45.1, and discards aggregations that 1.45.1 keeps.
A later SDK is used by its public methods alone, which is right and slower, until it was read too and is added here.
"""

from typing import Final

from opentelemetry.sdk.version import __version__

VERSIONS: Final = frozenset(("1.45.0", "1.45.1", "1.45.2"))
KNOWN: Final = __version__ in VERSIONS
