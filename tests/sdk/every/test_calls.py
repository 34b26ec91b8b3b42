"""The real SDKs of all providers, sync and async: a local provider speaks to each as its own does, and keeps the bill.

`matrix.py` runs this against the oldest and the newest version of each, and makes docs/coverage.md of what was seen: each test
says for which SDK and which of its columns it stands.
"""

from typing import Any

import pytest

from costspan import names
from sdk.every.kit import Tracking, billed, check, same, settle
from sdk.kit import Drive
from sdk.sdks import Sdk, installed

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")


def test_a_plain_call_is_one_span_with_what_was_billed(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("plain")
    with tracked(sdk) as told:
        answer, bill = billed(line.provider, lambda: sdk.plain(line, sdk.client(line)))
        assert answer is not None
        said = check(told, bill, sdk)
    assert names.RESPONSE_TIME_TO_FIRST_CHUNK not in said
    assert said[names.REQUEST_MODEL] == sdk.model


def test_a_streamed_call_is_one_span_with_what_was_billed(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("stream")
    with tracked(sdk) as told:
        chunks, bill = billed(line.provider, lambda: sdk.stream(line, sdk.client(line)))
        assert len(chunks) > 5
        settle(told, line, sdk)
        said = check(told, bill, sdk)
        assert said[names.REQUEST_STREAM] is True
        assert 0 < said[names.RESPONSE_TIME_TO_FIRST_CHUNK] < 5
        assert said["gen_ai.response.finish_reasons"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_results_are_what_they_are_without_costspan(sdk: Sdk, line: Drive, tracked: Tracking, streamed: bool) -> None:
    if sdk.provider == "openai" and streamed:
        pytest.skip("costspan asks for usage here: see test_stream_usage.py")
    result = same(line, tracked, sdk, lambda client: (sdk.stream if streamed else sdk.plain)(line, client))
    assert result
    assert not (isinstance(result, tuple) and isinstance(result[0], type)), result


@pytest.mark.parametrize("status", [400, 429, 500])
def test_errors_are_the_sdks_own(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, status: int) -> None:
    seen("error")
    failed = same(line, tracked, sdk, lambda client: sdk.plain(line, client), lambda: sdk.fail(line.provider, status))
    assert issubclass(failed[0], Exception)
    assert "failed with" in failed[1] or sdk.terse
    with tracked(sdk) as told:
        sdk.fail(line.provider, status)
        with pytest.raises(failed[0]):
            sdk.plain(line, sdk.client(line))
        settle(told, line, sdk)
        said = told.attributes()
    assert said[names.HTTP_STATUS] == status
    assert said[names.ERROR_TYPE]
    assert names.COST_AMOUNT not in said


def test_a_refused_stream_is_one_failed_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("error")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 429, streamed=True)
        with pytest.raises(Exception):  # noqa: B017 - each SDK has its own
            sdk.stream(line, sdk.client(line))
        settle(told, line, sdk)
        said = told.attributes()
    assert said[names.HTTP_STATUS] == 429
    assert said[names.ERROR_TYPE]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_attempts_are_events_of_one_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, streamed: bool) -> None:
    if not sdk.retries or (streamed and not sdk.retries_streams):
        pytest.skip("it doesn't try again by itself")
    if line.asynchronous and not sdk.retries_async:
        pytest.skip("its asynchronous client doesn't try again by itself")
    seen("retry")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 429, times=2, streamed=streamed)
        client = sdk.client(line, retries=2)
        answer, bill = billed(line.provider, lambda: (sdk.stream if streamed else sdk.plain)(line, client))
        assert answer
        settle(told, line, sdk)
        check(told, bill, sdk)
        events = [dict(event.attributes or {}) for event in told.one().events]
    assert [event[names.HTTP_STATUS] for event in events] == [429, 429]


def test_attempts_that_all_fail_are_one_failed_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    if not sdk.retries or not sdk.retries_end or (line.asynchronous and not sdk.retries_async):
        pytest.skip("it doesn't try again by itself, or not a number of times")
    seen("retry")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 500, times=3)
        with pytest.raises(Exception):  # noqa: B017
            sdk.plain(line, sdk.client(line, retries=2))
        settle(told, line, sdk)
        said = told.attributes()
        assert len(told.one().events) == 2
    assert said[names.HTTP_STATUS] == 500


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_raw_replies_are_counted_and_left_as_they_are(
    sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, streamed: bool
) -> None:
    call = sdk.raw_stream if streamed else sdk.raw
    if call is None:
        pytest.skip("it has none")
    seen("raw")
    if not (streamed and sdk.provider == "openai"):
        same(line, tracked, sdk, lambda client: call(line, client))
    with tracked(sdk) as told:
        _, bill = billed(line.provider, lambda: call(line, sdk.client(line)))
        settle(told, line, sdk)
        check(told, bill, sdk)


OTHERS = [pytest.param(one, name, id=f"{type(one).__name__}-{name}") for one in installed() for name in one.others()]


@pytest.mark.parametrize(("sdk", "name"), OTHERS)
def test_further_calls_of_models_are_counted_too(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, name: str) -> None:
    seen("others")
    operation, call = sdk.others()[name]
    with tracked(sdk) as told:
        _, bill = billed(line.provider, lambda: call(line, sdk.client(line)))
        check(told, bill, sdk, operation)


def test_calls_that_use_no_model_make_no_span(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    calls = sdk.no_inference()
    if not calls:
        pytest.skip("it has none")
    seen("no model")
    with tracked(sdk) as told:
        client = sdk.client(line)
        for call in calls.values():
            call(line, client)
        assert not told.spans()
        assert not [name for name in told.metrics() if name.startswith("gen_ai")]
    assert len(line.provider.requests) >= len(calls)
