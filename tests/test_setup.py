"""Exporters as costspan sets them up."""

from typing import Any

import pytest

from costspan.setup import EXPORT_SECONDS, SIGNALS, make_exporter


def seconds(exporter: Any) -> float:
    return exporter._timeout if hasattr(exporter, "_timeout") else exporter._client._timeout


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_exporter_tries_for_long_unless_a_variable_says_for_how_long(
    monkeypatch: pytest.MonkeyPatch, signal: str, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    assert seconds(make_exporter(signal)) == EXPORT_SECONDS
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "7")
    assert seconds(make_exporter(signal)) == 7
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TIMEOUT")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT", "8")
    assert seconds(make_exporter(signal)) == 8
