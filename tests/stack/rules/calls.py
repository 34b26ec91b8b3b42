"""Calls, attempts, latency: what each alert waits for."""

from stack.rules.kit import OPENAI, SHOP, Case, Rule, attempts, burning, calls, duration, growing, outcome

FAIL, SLOW = "of calls by shop fail", "of calls by shop take more than 20.48 s"
FEW = growing((10, 139), (0.4, 70))
CALLS: dict[str, Rule] = {
    "CostspanErrorsBurnFast": Rule(
        "critical",
        "errors",
        "The budget of 1.00% burns at more than 14.4 times over 1h and 5m.",
        (
            *burning(outcome, 1, 5, 0.144, 0.15, FAIL),
            Case("none has ever failed", 70, {calls(): "0+10x80"}),
            Case("none has ever succeeded", 70, {calls(error_type="timeout"): "0+10x80"}, ((SHOP, f"100% {FAIL}"),)),
        ),
    ),
    "CostspanErrorsBurnSlow": Rule(
        "warning",
        "errors",
        "The budget of 1.00% burns at more than 6 times over 6h and 30m.",
        burning(outcome, 6, 30, 0.06, 0.07, FAIL),
    ),
    "CostspanLatencyBurnFast": Rule(
        "critical",
        "latency",
        "The budget of 5.00% burns at more than 14.4 times over 1h and 5m.",
        burning(duration, 1, 5, 0.72, 0.75, SLOW),
    ),
    "CostspanLatencyBurnSlow": Rule(
        "warning",
        "latency",
        "The budget of 5.00% burns at more than 6 times over 6h and 30m.",
        burning(duration, 6, 30, 0.3, 0.35, SLOW),
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
            Case("few attempts in the last hour", 200, {attempts(200): FEW, attempts(429): FEW}),
            Case(
                "few, but enough",
                70,
                {attempts(200): "0+0.45x80", attempts(429): "0+0.45x80"},
                ((OPENAI, "openai gpt-5 refuses 50% of attempts for their rate"),),
            ),
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
            Case("few attempts in the last hour", 200, {attempts(200): FEW, attempts(500): FEW, calls(): growing((0.1, 210))}),
            Case(
                "few, but enough",
                70,
                {attempts(500): "0+0.9x80", calls(): "0+0.3x80"},
                ((OPENAI, "openai gpt-5 needs 3.0 attempts a call"),),
            ),
            Case("no call has ended", 30, {attempts(200): "0+10x40", calls(): "5x40"}),
        ),
    ),
}
