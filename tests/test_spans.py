"""Attributes put on a span past the SDK's cleaning are what its own way puts there."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span

from costspan.known_sdk import KNOWN
from costspan.spans import _set, set_attributes

SAID: dict[str, Any] = {
    "text": "gpt-4o",
    "count": 12,
    "share": 0.25,
    "flag": True,
    "several": ["stop", "length"],
    "none": [],
    "start": "replaced",
}


def started(**limits: Any) -> Span:
    provider = TracerProvider(span_limits=SpanLimits(**limits), shutdown_on_exit=False)
    return provider.get_tracer("test").start_span("call", attributes={"start": "first"})


def test_both_ways_put_the_same_there():
    ours, theirs = started(), started()
    set_attributes(ours, SAID)
    theirs.set_attributes(SAID)
    assert dict(ours.attributes) == dict(theirs.attributes)  # type: ignore[attr-defined]
    assert type(ours.attributes["several"]) is tuple  # type: ignore[attr-defined]


@pytest.mark.skipif(not KNOWN, reason="NOT RUN: this SDK is not in known_sdk.VERSIONS: read it, try it, add it")
def test_the_installed_sdk_is_written_to_quickly():
    assert _set(started(), SAID)


def test_a_list_that_is_changed_later_does_not_change_the_span():
    span, said = started(), {"several": ["stop"]}
    set_attributes(span, said)
    said["several"].append("length")
    assert span.attributes["several"] == ("stop",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("limits", [{"max_span_attributes": 3}, {"max_attribute_length": 2}, {"max_span_attributes": 0}])
def test_the_programs_limits_hold(limits: dict[str, Any]):
    ours, theirs = started(**limits), started(**limits)
    set_attributes(ours, SAID)
    theirs.set_attributes(SAID)
    assert dict(ours.attributes) == dict(theirs.attributes)  # type: ignore[attr-defined]
    assert ours.dropped_attributes == theirs.dropped_attributes  # type: ignore[attr-defined]


def test_a_span_that_has_ended_keeps_what_it_had():
    span = started()
    span.end()
    set_attributes(span, SAID)
    assert dict(span.attributes) == {"start": "first"}  # type: ignore[attr-defined]


def test_a_span_of_another_kind_is_given_them_by_its_own_method():
    class Mine(type(INVALID_SPAN)):  # type: ignore[misc]
        seen: dict[str, Any]

        def set_attributes(self, attributes: Any) -> None:
            self.seen = dict(attributes)

    span = Mine(INVALID_SPAN.get_span_context())
    set_attributes(span, SAID)
    assert span.seen == SAID
