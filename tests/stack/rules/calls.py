"""Calls, attempts, latency: what each alert waits for."""

from stack.rules.kit import OPENAI, SHOP, Case, Rule, attempts, calls, duration, outcome

CALLS: dict[str, Rule] = {
    "CostspanErrorsBurnFast": Rule(
        "critical",
        "errors",
        "The budget of 1.00% burns at more than 14.4 times over 1h and 5m.",
        (
            Case("just below", 70, outcome("0+8.6x80", "0+1.4x80")),
            Case("above", 70, outcome("0+8.5x80", "0+1.5x80"), ((SHOP, "15% of calls by shop fail"),)),
            Case("over by now", 75, outcome("0+7x90", "0+3x60 180x30")),
            Case("just begun", 70, outcome("0+7x90", "0x64 0+3x20")),
            Case("few calls", 70, outcome("0+0.4x80", "0+0.4x80")),
            Case("a night without calls", 200, outcome("0+7x60 420x200", "0+3x60 180x200")),
            Case("none has ever failed", 70, {calls(): "0+10x80"}),
            Case("all fail", 70, {calls(error_type="server_error"): "0+10x80"}, ((SHOP, "100% of calls by shop fail"),)),
        ),
    ),
    "CostspanErrorsBurnSlow": Rule(
        "warning",
        "errors",
        "The budget of 1.00% burns at more than 6 times over 6h and 30m.",
        (
            Case("just below", 370, outcome("0+9.5x380", "0+0.5x380")),
            Case("above", 370, outcome("0+9.3x380", "0+0.7x380"), ((SHOP, "7% of calls by shop fail"),)),
            Case("over by now", 400, outcome("0+9x400", "0+1x360 360x50")),
        ),
    ),
    "CostspanLatencyBurnFast": Rule(
        "critical",
        "latency",
        "The budget of 5.00% burns at more than 14.4 times over 1h and 5m.",
        (
            Case("just below", 70, duration(10, 3, 80)),
            Case("above", 70, duration(10, 2.5, 80), ((SHOP, "75% of calls by shop take more than 20.48 s"),)),
            Case("few calls", 70, duration(0.8, 0, 80)),
        ),
    ),
    "CostspanLatencyBurnSlow": Rule(
        "warning",
        "latency",
        "The budget of 5.00% burns at more than 6 times over 6h and 30m.",
        (
            Case("just below", 370, duration(10, 7.5, 380)),
            Case("above", 370, duration(10, 6.5, 380), ((SHOP, "35% of calls by shop take more than 20.48 s"),)),
        ),
    ),
    "CostspanRateLimited": Rule(
        "warning",
        "limits",
        "Attempts answered 429 in the last 10 minutes.",
        (
            Case("just below", 30, {attempts(200): "0+9.1x40", attempts(429): "0+0.9x40"}),
            Case("not for ten minutes", 12, {attempts(200): "0+8.8x40", attempts(429): "0+1.2x40"}),
            Case(
                "above",
                30,
                {attempts(200): "0+8.8x40", attempts(429): "0+1.2x40", attempts(200, "o3"): "0+9x40"},
                ((OPENAI, "openai gpt-5 refuses 12% of attempts for their rate"),),
            ),
            Case("few attempts", 70, {attempts(200): "0+0.4x80", attempts(429): "0+0.4x80"}),
        ),
    ),
    "CostspanRetryStorm": Rule(
        "warning",
        "limits",
        "Retries multiply load, and some of them are billed.",
        (
            Case("just below", 30, {attempts(200): "0+10x40", attempts(500): "0+9x40", calls(): "0+10x40"}),
            Case("not for ten minutes", 9, {attempts(200): "0+10x40", attempts(500): "0+11x40", calls(): "0+10x40"}),
            Case(
                "above",
                30,
                {attempts(200): "0+10x40", attempts(500): "0+11x40", calls(): "0+10x40"},
                ((OPENAI, "openai gpt-5 needs 2.1 attempts a call"),),
            ),
            Case("no call has ended", 30, {attempts(200): "0+10x40", calls(): "5x40"}),
        ),
    ),
}
