"""Instrumenting a process: puts settings, telemetry, routes and patches together, takes them apart, and follows forks."""

import atexit
import os
from functools import cache
from typing import Any

from opentelemetry import _logs, metrics, trace

from costspan import names, settings
from costspan.active import Active, state
from costspan.exchange import ERRORS
from costspan.metrics import Meters
from costspan.prices import PriceBook
from costspan.seams import background, table
from costspan.seams.patch import Patches
from costspan.setup import OwnMetrics, Providers, ensure
from costspan.telemetry import Telemetry
from costspan.wire import routes

VERSION = "0.1.0"
_patches: Patches | None = None


def install(*, tracer_provider: Any = None, meter_provider: Any = None, logger_provider: Any = None, **arguments: Any) -> None:
    """Instrument this process; where it is instrumented already, change nothing. See `costspan.instrument`."""
    global _patches  # noqa: PLW0603 - one set of patches a process
    if _patches is not None:
        return
    chosen = settings.load(**arguments)
    prices = PriceBook(chosen.prices)
    router = routes.router(chosen)
    providers = ensure(tracer_provider, meter_provider, logger_provider)
    _follow_process()
    telemetry = Telemetry(
        trace.get_tracer(names.SCOPE, VERSION, providers.tracers),
        _meters(providers, chosen, prices),
        _logs.get_logger(names.SCOPE, VERSION, providers.loggers),
        prices,
        chosen,
    )
    state.active = Active(telemetry, router, chosen)
    state.providers = providers
    background.start()
    _patches = Patches(table.MODULES)
    _patches.install()


def remove() -> None:
    """Take every patch back; see `costspan.uninstrument`."""
    global _patches  # noqa: PLW0603
    if _patches is None:
        return
    _patches.restore()
    background.flush(1.0)
    state.active = state.providers = _patches = None


def _meters(providers: Providers, chosen: settings.Settings, prices: PriceBook) -> Meters:
    meter = metrics.get_meter(names.SCOPE, VERSION, providers.meters)
    return Meters(meter, chosen, prices.built_at, ERRORS)


def _after_fork() -> None:
    """A child counts from nothing: what the parent counted, the parent reports."""
    active, providers = state.active, state.providers
    if active is None or providers is None:
        return
    telemetry = active.telemetry
    if providers.own_metrics is None:
        telemetry.meters.reset()
        return
    providers.own_metrics.silence()
    own = OwnMetrics(forked=True)
    state.providers = providers._replace(meters=own.provider, own_metrics=own)
    telemetry.meters = _meters(state.providers, telemetry.settings, telemetry.prices)


@cache
def _follow_process() -> None:
    """Hooks for its forks and its end; once, and after the SDK's providers were made.

    Those for forks run in the order they were registered: a MeterProvider uses concurrent.futures, whose lock is taken in
    every child until that module's own hook has run. Those for the end run last come, first served: before the providers' own.
    """
    atexit.register(background.end_unfinished)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
