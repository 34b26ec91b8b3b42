"""Caches, prices, telemetry: what each alert waits for."""

from stack.rules.kit import (
    AGE,
    AGE_B,
    GPT,
    HOUR,
    NOT_DELIVERED,
    OPENAI,
    SHOP,
    Case,
    Fired,
    Rule,
    calls,
    growing,
    of,
    queue,
    sent,
    tokens,
)

UNPRICED = calls(costspan_cost_state="unpriced")


def caching(before: tuple[float, float], now: tuple[float, float]) -> dict[str, str]:
    """Input tokens in five minutes, and the share that is cached: the day before, and in the last of 49 hours."""
    return {
        tokens(): growing((before[0], 576), (now[0], 20)),
        tokens("cache_read_"): growing((before[0] * before[1], 576), (now[0] * now[1], 20)),
    }


FIGURES: dict[str, Rule] = {
    "CostspanCacheHitDrop": Rule(
        "warning",
        "caching",
        "A prompt's beginning has changed, or caching was lost: the same input costs more.",
        (
            Case("a little", 49 * HOUR, caching((1e5, 0.6), (1e5, 0.45)), step=5),
            Case("thin now", 49 * HOUR, caching((1e5, 0.6), (8e4, 0.1)), step=5),
            Case("thin a day ago", 49 * HOUR, caching((8e4, 0.6), (1e5, 0.1)), step=5),
            Case(
                "by twenty-five in a hundred",
                49 * HOUR,
                caching((1e5, 0.6), (1e5, 0.35)),
                ((GPT, "gpt-5 reads 25% less of its input from caches than a day ago"),),
                5,
            ),
            Case(
                "lost altogether, with a new release that has not counted any",
                25 * HOUR,
                {
                    tokens(): "0+1e5x286 _x30",
                    tokens("cache_read_"): "0+6e4x286 _x30",
                    tokens(instance="b"): "_x286 0+1e5x20",
                },
                ((GPT, "gpt-5 reads 60% less of its input from caches than a day ago"),),
                5,
            ),
        ),
    ),
    "CostspanUnpricedModel": Rule(
        "warning",
        "prices",
        "12 calls in the last hour cost an unknown amount.",
        (
            Case("few", 61, {calls(costspan_cost_state="unpriced"): "0+0.15x70", calls(): "0+50x70"}),
            Case(
                "more",
                61,
                {
                    calls(costspan_cost_state="unpriced"): "0+0.1x70",
                    calls(costspan_cost_state="unpriced", instance="b"): "0+0.1x70",
                },
                ((OPENAI, "openai gpt-5 has no price: spend is too low"),),
            ),
            Case(
                "calls without a model, once",
                61,
                {calls(costspan_cost_state="unpriced", gen_ai_request_model=None): "_x30 0 12x40"},
                (({"gen_ai_provider_name": "openai"}, "openai (no model) has no price: spend is too low"),),
            ),
        ),
    ),
    "CostspanUnmeteredShare": Rule(
        "warning",
        "prices",
        "What they cost is unknown.",
        (
            Case("just below", 61, {calls(): "0+8.1x70", calls(costspan_cost_state="unmetered"): "0+1.9x70"}),
            Case(
                "both kinds together",
                61,
                {
                    calls(): "0+7.6x70",
                    calls(costspan_cost_state="unmetered"): "0+1.2x70",
                    calls(costspan_cost_state="partial"): "0+1.2x70",
                },
                (({"gen_ai_provider_name": "openai"}, "24% of calls to openai say no usage"),),
            ),
            Case("few calls", 61, {calls(costspan_cost_state="unmetered"): "0+0.8x70"}),
        ),
    ),
    "CostspanPriceBookStale": Rule(
        "info",
        "prices",
        "Newer models are unpriced with it.",
        (
            Case("45 days to the second", 1, {AGE: "3887940+60x5"}),
            Case("older", 2, {AGE: "3887940+60x5"}, ((SHOP, "shop prices calls with a book 45d 0h 1m 0s old"),)),
        ),
    ),
}
SILENT: tuple[Fired, ...] = (({}, "No program has sent metrics for 15m"),)
TELEMETRY: dict[str, Rule] = {
    "CostspanTelemetrySilent": Rule(
        "critical",
        "telemetry",
        "Programs, the network to the Collector, the Collector, or its scrape: one of them is down.",
        (
            Case("not for fifteen minutes", 74, {AGE: "0+60x60 _x900"}),
            Case("silent", 76, {AGE: "0+60x60 _x900"}, SILENT),
            Case("silent for ten hours", 660, {AGE: "0+60x60 _x900"}, SILENT),
            Case("stopped on purpose", 850, {AGE: "0+60x60 _x900"}),
            Case("a batch that ended", 40, {AGE: "0+60x10 _x900"}),
            Case(
                "a new process in the place of the old one",
                130,
                {AGE: "0+60x60 _x100", AGE_B: "_x70 0+60x60"},
            ),
            Case("a night without calls", 600, {AGE: "0+60x600", calls(): "100x600"}),
            Case("nothing was ever installed", 60, {'up{job="costspan"}': "1x60"}),
        ),
    ),
    "CostspanLabelOverflow": Rule(
        "warning",
        "telemetry",
        "Totals stay right; who they belong to is lost in metrics, not in the ledger.",
        (
            Case("twenty minutes ago", 21, {of("costspan_label_overflow_total", costspan_label_name="user.id"): "0 3x70"}),
            Case(
                "a first value",
                20,
                {of("costspan_label_overflow_total", costspan_label_name="costspan.team"): "_x15 0 1x20"},
                (({**SHOP, "costspan_label_name": "costspan.team"}, "shop folds values of costspan.team into other"),),
            ),
        ),
    ),
    "CostspanInternalErrors": Rule(
        "info",
        "telemetry",
        "The program was not affected; some facts of its calls may be missing.",
        (
            Case("twenty minutes ago", 21, {of("costspan_internal_errors_total", costspan_error_where="end"): "0 1x70"}),
            Case(
                "one",
                20,
                {of("costspan_internal_errors_total", costspan_error_where="end", error_type="KeyError"): "_x15 0 1x20"},
                (({**SHOP, "costspan_error_where": "end"}, "costspan failed in shop, at end"),),
            ),
        ),
    ),
    "CostspanNotDelivered": Rule(
        "warning",
        "telemetry",
        "Its back end is down, or refuses them. Nothing is lost while the queue has room.",
        (
            Case("a few wait, and are sent", 30, queue(200, 40) | sent("0+100x40")),
            Case("not for fifteen minutes", 14, queue(200, 40) | sent("7x40")),
            Case("nothing waits, and there is nothing to send", 30, queue(0, 40) | sent("7x40")),
            Case("nothing has gone for twenty minutes", 21, queue(2_500, 40) | sent("7x40"), NOT_DELIVERED),
            Case("nothing has ever gone", 21, queue(2_500, 40), NOT_DELIVERED),
            Case("spans go, logs don't", 21, queue(2_500, 40, "logs") | sent("0+100x40"), NOT_DELIVERED),
            Case("one node's go, another's don't", 21, queue(2_500, 40) | sent("0+100x40", "node-b:8888"), NOT_DELIVERED),
        ),
    ),
    "CostspanQueueFilling": Rule(
        "warning",
        "telemetry",
        "Full, it refuses: programs then lose spans.",
        (
            Case("just below", 15, queue(800_000)),
            Case("not for five minutes", 4, queue(850_000)),
            Case(
                "above",
                15,
                queue(850_000) | queue(0, kind="logs"),
                (({"exporter": "otlp_grpc/ledger"}, "The Collector's queue to otlp_grpc/ledger is 85% full"),),
            ),
        ),
    ),
}
