"""What a call becomes: a span, or an event where the span is not sampled; a log line where asked; nothing where suppressed."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

import costspan
from costspan import names
from costspan.exchange import Logical
from recorded.cases import CASES, Case, named
from replay import run
from telemetry_kit import instrumented

CHAT, LIMITED = named("openai/chat").exchange, named("errors/rate_limited").exchange
WITHOUT_KEY = CHAT._replace(request_headers={"content-type": "application/json"})


def test_a_span_is_named_after_operation_and_model_and_is_a_clients():
    with instrumented() as kit:
        run(httpx2, CHAT)
        span = kit.one()
    assert (span.name, span.kind) == ("chat gpt-4o-mini", trace.SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "costspan"
    assert span.events == ()


def test_a_span_is_a_child_of_the_programs_and_leaves_it_current():
    with instrumented() as kit, kit.tracers.get_tracer("program").start_as_current_span("work") as work:
        run(httpx2, CHAT)
        assert trace.get_current_span() is work
        span = next(span for span in kit.spans() if span.name != "work")
    assert span.parent is not None
    assert span.parent.span_id == work.get_span_context().span_id


def test_a_failed_call_has_an_error_status_with_the_providers_message():
    with instrumented() as kit:
        run(httpx2, LIMITED)
        span = kit.one()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "Rate limit reached for gpt-4o-mini.")


def test_the_span_lasts_as_long_as_the_reply():
    with instrumented() as kit:
        with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=iter([b"{}"])))) as client:
            response = client.send(client.build_request("POST", CHAT.url, content=CHAT.request_body), stream=True)
            assert kit.spans() == []
            response.read()
        span = kit.one()
        metric = kit.metrics()[names.DURATION.name].data.data_points[0]
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(metric.sum, abs=1e-6)


def test_attempts_before_the_last_are_events_with_status_error_and_time_to_wait():
    with instrumented() as kit:
        with Logical():
            run(httpx2, LIMITED)
            run(httpx2, named("errors/server_error").exchange)
            run(httpx2, CHAT)
        span = kit.one()
    first, second = span.events
    assert dict(first.attributes or {}) | {names.ATTEMPT_ELAPSED: 0} == {
        names.ATTEMPT_NUMBER: 1,
        names.ATTEMPT_ELAPSED: 0,
        names.HTTP_STATUS: 429,
        names.ERROR_TYPE: "requests",
        names.ATTEMPT_RETRY_AFTER: 20.0,
    }
    assert (second.attributes or {})[names.HTTP_STATUS] == 500
    said = span.attributes or {}
    assert (said[names.ATTEMPTS], said[names.HTTP_STATUS]) == (3, 200)
    assert names.ERROR_TYPE not in said
    assert span.status.status_code is StatusCode.UNSET


def test_a_logical_call_that_fails_for_good_is_one_failed_span():
    class GivenUpError(Exception):
        pass

    def call() -> None:
        with Logical():
            run(httpx2, LIMITED)
            run(httpx2, LIMITED)
            raise GivenUpError

    with instrumented() as kit:
        with pytest.raises(GivenUpError):
            call()
        span = kit.one()
    assert len(span.events) == 1
    assert ((span.attributes or {})[names.ATTEMPTS], (span.attributes or {})[names.ERROR_TYPE]) == (2, "requests")


def test_two_calls_inside_one_logical_call_are_two_spans():
    with instrumented() as kit:
        with Logical():
            run(httpx2, CHAT)
            run(httpx2, CHAT)
        assert len(kit.spans()) == 2


def test_a_retried_retrieval_is_one_span():
    fetched = named("openai/response_retrieved").exchange
    with instrumented() as kit:
        with Logical():
            run(httpx2, fetched._replace(status=500, body=b"{}"))
            run(httpx2, fetched)
        assert len(kit.one().events) == 1


# -- sampling


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["off", "parent"])
def test_an_unsampled_call_is_an_event_with_all_that_its_span_would_have_said(sampler: Sampler):
    def said(sampler: Sampler) -> tuple[list[Any], list[Any]]:
        with instrumented(sampler=sampler) as kit, costspan.label(team="a", user="u"):
            with Logical():
                run(httpx2, LIMITED)
                run(httpx2, CHAT)
            return kit.spans(), kit.events()

    (span,), none = said(ALWAYS_ON)
    nothing, (event,) = said(sampler)
    assert (list(none), list(nothing)) == ([], [])
    assert event.event_name == names.EVENT_CALL
    own = dict(event.attributes)
    attempts = [json.loads(attempt) for attempt in own.pop(names.ATTEMPT_LIST)]
    assert [(attempt["number"], attempt["status"], attempt["error_type"], attempt["retry_after"]) for attempt in attempts] == [
        (1, 429, "requests", 20.0)
    ]
    assert own.pop(names.CALL_DURATION) > 0
    assert own.pop(names.CALL_STARTED) > 1_700_000_000 * 10**9
    assert own == dict(span.attributes)
    assert event.trace_id
    assert event.span_id


def test_a_call_is_a_span_or_an_event_and_never_both_or_neither():
    for sampler in (ALWAYS_ON, ALWAYS_OFF):
        with instrumented(sampler=sampler) as kit:
            for case in CASES[::5]:
                kit.clear()
                run(httpx2, case.exchange, broken=case.broken)
                assert len(kit.spans()) + len(kit.events()) == 1, case.name


def test_a_span_that_is_recorded_but_not_sampled_is_an_event_too():
    class RecordOnly(Sampler):
        def should_sample(self, *_args: Any, **_kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY)

        def get_description(self) -> str:
            return "record only"

    with instrumented(sampler=RecordOnly()) as kit:
        run(httpx2, CHAT)
        assert (len(kit.spans()), len(kit.events())) == (0, 1)


def test_samplers_see_operation_provider_model_and_server():
    seen: list[dict[str, Any]] = []

    class Looking(Sampler):
        def should_sample(
            self,
            parent: Any,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Sequence[Any] | None = None,
            trace_state: Any = None,
        ) -> SamplingResult:
            seen.append(dict(attributes))
            return SamplingResult(Decision.RECORD_AND_SAMPLE)

        def get_description(self) -> str:
            return "looking"

    with instrumented(sampler=Looking()):
        run(httpx2, CHAT)
    assert seen == [
        {
            names.OPERATION: "chat",
            names.PROVIDER: "openai",
            names.REQUEST_MODEL: "gpt-4o-mini",
            names.SERVER_ADDRESS: "api.openai.com",
            names.SERVER_PORT: 443,
        }
    ]


# -- options


def test_older_names_come_besides_where_they_are_asked_for():
    with instrumented(compat="1.37") as kit:
        run(httpx2, named("compatible/openrouter").exchange)
        said = kit.attributes()
    older = {
        "gen_ai.system": "openrouter",
        "gen_ai.usage.prompt_tokens": 194,
        "gen_ai.usage.completion_tokens": 20,
        "gen_ai.usage.cost": 0.00014,
    }
    assert {name: said[name] for name in older} == older
    assert (said[names.PROVIDER], said[names.USAGE_INPUT], said[names.COST_AMOUNT]) == ("openrouter", 194, 0.00014)
    with instrumented() as kit:
        run(httpx2, named("compatible/openrouter").exchange)
        assert not set(older) & set(kit.attributes())


def test_a_call_is_one_json_line_where_that_is_asked_for(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, names.CALL_LOGGER)
    with instrumented(log=True) as kit, costspan.label(team="search"):
        run(httpx2, CHAT)
        span = kit.one()
    (record,) = caplog.records
    assert record.name == "costspan.call"
    line = json.loads(record.getMessage())
    assert record.call == line
    expected = {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "request_id": "req_0123456789",
        "team": "search",
    }
    expected |= {
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "input_tokens": 19,
        "output_tokens": 10,
        "currency": "USD",
        "status": 200,
        "error": None,
        "attempts": 1,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["cost"] > 0
    assert line["latency_s"] > 0
    assert line["service"]
    assert "sk-test" not in record.getMessage()
    assert "hello" not in record.getMessage().lower()


def test_no_line_is_logged_unless_asked_for(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, names.CALL_LOGGER)
    with instrumented():
        run(httpx2, CHAT)
    assert [record for record in caplog.records if record.name == names.CALL_LOGGER] == []


@pytest.mark.parametrize("key", ["suppress_instrumentation", "suppress_http_instrumentation"])
def test_a_call_where_instrumentation_is_suppressed_is_none(key: str):
    token = attach(set_value(key, True, get_current()))
    try:
        with instrumented() as kit:
            assert run(httpx2, CHAT) == CHAT.body
            assert len(kit.spans()) == (key == "suppress_http_instrumentation")
    finally:
        detach(token)


def test_suppression_by_opentelemetrys_own_means_is_honoured():
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with instrumented() as kit:
        with suppress_instrumentation():
            run(httpx2, CHAT)
        assert kit.spans() == []


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "hidden" in case.name or "error" in case.name or case.name == "openai/chat"],
    ids=lambda case: case.name,
)
def test_neither_keys_nor_questions_nor_answers_are_recorded(case: Case):
    with instrumented() as kit:
        run(httpx2, case.exchange, broken=case.broken)
        span = kit.one()
    told = (
        json.dumps({name: str(value) for name, value in (span.attributes or {}).items()})
        + str(span.status.description)
        + span.name
    )
    for secret in ("sk-test-0123", "Say hello", "Hello!", "æøå"):
        assert secret not in told


def test_equal_requests_have_equal_fingerprints_and_others_do_not():
    def fingerprint(**settings: str) -> Any:
        with instrumented(**settings) as kit:
            run(httpx2, named("openai/stream_usage_hidden").exchange)
            return kit.attributes()[names.REQUEST_FINGERPRINT]

    with instrumented() as kit:
        for exchange in (CHAT, CHAT, CHAT._replace(request_body=CHAT.request_body + b" ")):
            run(httpx2, exchange)
        first, second, third = ((span.attributes or {})[names.REQUEST_FINGERPRINT] for span in kit.spans())
    assert first == second != third
    assert fingerprint(secret="a") == fingerprint(secret="a", stream_usage="off") != fingerprint(secret="b")


def test_what_the_program_sends_is_not_a_calls_when_it_asks_for_nothing():
    with instrumented() as kit:
        run(httpx2, CHAT._replace(url="https://shop.example/v1/completions", request_body=b'{"cart": 5}'))
        assert kit.spans() == []


# -- logs that the program writes during a call


def test_log_lines_of_the_program_during_a_call_carry_its_trace(monkeypatch: pytest.MonkeyPatch):
    """As docs/logs.md has it: the ids are those of the current span while the request is sent."""
    lines: list[dict[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            context = trace.get_current_span().get_span_context()
            lines.append(
                {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}", "message": record.getMessage()}
            )

    logger = logging.getLogger("program")
    handler = Handler()
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.INFO)

    def respond(_request: Any) -> Any:
        logger.info("sending")
        return httpx2.Response(200, content=CHAT.body)

    try:
        with instrumented() as kit, httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
            client.post(CHAT.url, content=CHAT.request_body)
            span = kit.one()
    finally:
        logger.removeHandler(handler)
    assert lines == [
        {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}", "message": "sending"}
    ]


def test_structlog_lines_during_a_call_carry_its_trace():
    import structlog

    def add_trace(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        context = trace.get_current_span().get_span_context()
        return {**event, "trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    with structlog.testing.capture_logs(processors=[add_trace]) as lines:

        def respond(_request: Any) -> Any:
            structlog.get_logger().info("sending")
            return httpx2.Response(200, content=CHAT.body)

        with instrumented() as kit, httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
            client.post(CHAT.url, content=CHAT.request_body)
            span = kit.one()
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [
        (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
    ]
