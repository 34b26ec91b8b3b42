"""What reply headers say."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.wire import headers

VALUES = (
    st.binary(max_size=30)
    | st.floats().map(lambda value: str(value).encode())
    | st.integers().map(lambda value: str(value).encode())
)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({b"retry-after": b"20"}, 20.0),
        ({b"retry-after": b"0"}, 0.0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 1.5),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after": b"-5"}, None),
        ({b"retry-after-ms": b"nan"}, None),
        ({b"retry-after-ms": b"-1"}, None),
        ({b"retry-after": b"1e999"}, None),
        ({b"retry-after": b"Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_seconds_to_wait(said: headers.Headers, seconds: float | None):
    assert headers.retry_after(said) == seconds


def test_a_date_to_wait_for_is_seconds_from_now():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert headers.retry_after({b"retry-after": date.encode()}) == pytest.approx(90, abs=2)


@given(st.dictionaries(st.sampled_from([b"retry-after", b"retry-after-ms"]), VALUES))
def test_a_time_to_wait_is_finite_and_not_negative_or_nothing(said: headers.Headers):
    seconds = headers.retry_after(said)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(VALUES)
def test_a_count_is_a_whole_number_or_nothing(value: bytes):
    count = headers.count({b"x": value}, b"x")
    assert count is None or 0 <= count < 2**63
    assert headers.count({}, b"x") is None


def test_a_count_of_ten_thousand_digits_is_none():
    assert headers.count({b"x": b"9" * 10_000}, b"x") is None


@given(
    st.dictionaries(st.sampled_from([*headers.REQUEST_IDS, b"openai-organization", b"openai-project"]), st.binary(max_size=400))
)
def test_identities_are_bounded_texts(said: headers.Headers):
    call = Call()
    headers.read(said, call)
    for value in (call.request_id, call.provider_organisation, call.provider_project):
        assert value is None or 0 < len(value) <= 256


def test_of_several_request_ids_the_providers_own_wins():
    call = Call()
    headers.read({b"cf-ray": b"ray", b"x-request-id": b"req_1", b"apim-request-id": b"apim"}, call)
    assert call.request_id == "req_1"


@pytest.mark.parametrize("value", [b"0", b"0.0", b"-1", b"nan", b"inf", b"much", b"", b"None"])
def test_a_cost_header_that_states_no_cost_says_nothing(value: bytes):
    call = Call()
    headers.read_cost({b"x-litellm-response-cost": value}, call)
    assert call.usage is None


def test_a_cost_in_the_reply_itself_wins_over_the_header():
    call = Call(usage=Usage(cost=0.5, currency="USD"))
    headers.read_cost({b"x-litellm-response-cost": b"0.25"}, call)
    assert call.usage is not None
    assert call.usage.cost == 0.5


def test_anthropics_limits_and_organisation_are_read_under_its_own_names():
    call = Call()
    said = {b"anthropic-ratelimit-requests-remaining": b"999", b"anthropic-ratelimit-tokens-remaining": b"96000"}
    assert headers.read({**said, b"anthropic-organization-id": b"36562039", b"request-id": b"req_1"}, call) == (999, 96_000)
    assert (call.provider_organisation, call.request_id) == ("36562039", "req_1")
