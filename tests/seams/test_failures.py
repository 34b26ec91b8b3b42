"""Every function of costspan's on the way of a call raises in turn: the program sees nothing of it, and it is counted."""

import gc
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any

import httpx
import httpx2
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import costspan
import costspan.exchange as core
from costspan.exchange import ERRORS, Logical
from costspan.seams import background
from recorded.cases import named
from replay import encoded, run
from telemetry_kit import Kit

MODULES = [
    *(
        "active",
        "attributes",
        "exchange",
        "labels",
        "metrics",
        "telemetry",
        "prices.book",
        "prices.quick",
        "prices.rates",
        "prices.resolve",
    ),
    *(
        "prices.table",
        "seams.change",
        "seams.http",
        "wire.audio",
        "wire.body",
        "wire.compatible",
        "wire.compression",
        "wire.fields",
    ),
    *("wire.headers", "wire.images", "wire.openai", "wire.reply", "wire.route", "wire.usage"),
]
NOT_OURS_TO_GUARD = (
    *("exchange.internal_error", "exchange.tap_failed", "exchange._end_with", "exchange.Logical.__init__"),
    *("seams.http.find", "seams.http.Tap._end", "seams.http.Tap.elapsed"),
    *("labels.attribute_of", "labels.as_attributes", "labels.current", "labels.label."),
    *("metrics.Meters._observe", "metrics.Meters._all", "metrics._filled", "metrics.Series.by_state"),
    *("wire.fields.Shape.__init__", "wire.fields.Shape._decode_first"),
)
"""The guards themselves, what only calls guarded functions, what the program calls itself, what the SDK guards (observers), and
what runs once a format, before any of this."""
FRAME = ("__del__", "__getattr__", "__repr__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__aiter__")
"""What the interpreter calls in the program's own frames: nothing but the calls of what is tested here."""
HIDDEN = named("openai/stream_usage_hidden").exchange
CHAT, LIMITED = named("openai/chat").exchange, named("errors/rate_limited").exchange
STREAMS = [
    named(f"openai/{name}").exchange
    for name in ("stream_two_choices", "response_stream_large", "stream_of_crlf_lines", "response_function_call")
]
OTHERS = [
    named(name).exchange
    for name in (
        *(
            "openai/image",
            "openai/embeddings",
            "openai/speech",
            "openai/transcription_tokens",
            "openai/response_retrieved",
            "errors/html",
        ),
        *("azure/chat_by_deployment", "compatible/openrouter", "compatible/groq_stream", "compatible/gemini_error_list"),
    )
]
BROKEN = (lambda *_args, **_kwargs: 1 / 0).__code__
"""Put in place of a function's own code, so that it raises whoever imported it by whichever name."""


def _plain(value: Any) -> FunctionType | None:
    """The function to be broken: what a guard guards, what a property or static method holds."""
    value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value if isinstance(value, FunctionType) and not value.__code__.co_freevars else None


def functions() -> Iterator[tuple[str, FunctionType]]:
    """Every function and method of the modules on the way of a call, by name."""
    for name in MODULES:
        module = importlib.import_module(f"costspan.{name}")
        for key, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            owned = {f"{name}.{key}": value}
            if inspect.isclass(value):
                owned = {f"{name}.{key}.{method}": found for method, found in vars(value).items() if method not in FRAME}
            for full, found in owned.items():
                function = _plain(found)
                if function is not None and function.__module__ == module.__name__ and not full.startswith(NOT_OURS_TO_GUARD):
                    yield full, function


def exercise() -> None:
    """Calls of every kind, whose bytes must be what they would have been."""
    # Where taking usage out again is what fails, the program sees it: nothing else can be done then.
    for options in ({"size": 64}, {"asynchronous": True, "size": 64}, {"stream": False}):
        assert run(httpx2, HIDDEN, **options) in (HIDDEN.body, HIDDEN.asked_body)  # type: ignore[arg-type]
    run(httpx, HIDDEN, encoding="gzip", obeys=False)
    for number, exchange in enumerate([CHAT, *STREAMS, *OTHERS]):
        library = (httpx, httpx2)[number % 2]
        assert run(library, exchange, stream=number % 3 != 0, asynchronous=number % 5 == 0) == exchange.body
    for encoding in ("gzip", "deflate", "br", "zstd"):
        assert run(httpx, STREAMS[0], encoding=encoding, size=50) == encoded(STREAMS[0].body, encoding)
    assert run(httpx, STREAMS[0], size=50, broken=True) == STREAMS[0].body
    with Logical(), costspan.label(team="a", user="u"):
        assert run(httpx2, LIMITED, size=9) == LIMITED.body
        assert run(httpx2, CHAT) == CHAT.body
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=iter([b"data: 1"])))) as client:
        client.send(client.build_request("POST", CHAT.url, content=CHAT.request_body), stream=True)
    gc.collect(1)
    background.flush(2.0)


@contextmanager
def instrumented_in_full(sampler: Any = None) -> Iterator[Kit]:
    kit = Kit(sampler)
    costspan.instrument(
        tracer_provider=kit.tracers,
        meter_provider=kit.meters,
        logger_provider=kit.loggers,
        log=True,
        compat="1.37",
        propagate="api.openai.com",
        hash_users="x",
        labels={"team": "t"},
        baggage=True,
        metric_label_values=2,
    )
    try:
        yield kit
    finally:
        costspan.uninstrument()
        ERRORS.clear()


def reached() -> set[CodeType]:
    """The code that `exercise` runs."""
    seen: set[CodeType] = set()
    with instrumented_in_full():
        gc.disable()  # CPython 3.11.2 crashes where it collects under a profile function; 3.11.7 doesn't
        sys.setprofile(lambda frame, event, _arg: seen.add(frame.f_code) if event == "call" else None)
        try:
            exercise()
        finally:
            sys.setprofile(None)
            gc.enable()
        assert not ERRORS, ERRORS
    return seen


REACHED = reached()
FUNCTIONS = {full: function for full, function in functions() if function.__code__ in REACHED}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented_in_full() as kit:
        yield kit


@pytest.mark.parametrize("full", FUNCTIONS)
def test_a_function_that_raises_is_counted_and_the_program_sees_nothing(kit: Kit, monkeypatch: pytest.MonkeyPatch, full: str):
    with monkeypatch.context() as patch:
        patch.setattr(FUNCTIONS[full], "__code__", BROKEN)
        exercise()
    assert [kind for _, kind in ERRORS if kind == "ZeroDivisionError"]


def test_most_functions_are_on_the_way():
    assert len(FUNCTIONS) > 130


def test_a_reply_that_cannot_be_read_still_ends_its_call(kit: Kit, monkeypatch: pytest.MonkeyPatch):
    for stream in (False, True):
        kit.clear()
        with monkeypatch.context() as patch:
            patch.setattr(FUNCTIONS["wire.openai.read"], "__code__", BROKEN)
            assert run(httpx2, CHAT, stream=stream) == CHAT.body
        said = kit.attributes()
        assert (said["http.response.status_code"], said["costspan.cost.state"]) == (200, "partial")


def test_an_unsampled_call_survives_a_broken_logger(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def emit(self, **_fields: Any) -> None:
            raise OSError

    with instrumented_in_full(ALWAYS_OFF):
        active = core.state.active
        assert active is not None
        monkeypatch.setattr(active.telemetry, "logger", Broken())
        assert run(httpx2, CHAT) == CHAT.body
        assert [kind for _, kind in ERRORS] == ["OSError"]


def test_our_failures_are_a_metric():
    with instrumented_in_full() as kit:
        core.internal_error("somewhere", OSError())
        (point,) = kit.metrics()["costspan.internal.errors"].data.data_points
        assert dict(point.attributes) == {"costspan.error.where": "somewhere", "error.type": "OSError"}
