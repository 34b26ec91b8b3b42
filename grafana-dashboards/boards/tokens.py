"""Where tokens go: classes, modalities, caches, reasoning."""

from typing import Any

from boards.kit import MODALITY, MODEL, TEAM, Query, add, board, increase, panel, quantile, rate, ratio, total
from costspan.names import INPUT_TOKENS, OUTPUT_TOKENS, USED_CACHE_READ, USED_CACHE_WRITE, USED_INPUT, USED_OUTPUT, USED_REASONING


def build() -> Any:
    made = board("tokens", "costspan: tokens and caching", "Token classes, cache hits, reasoning, sizes of calls.")
    made = add(made, "Tokens", *_tokens())
    made = add(made, "Caching", *_caching())
    return add(made, "A call", *_a_call())


def _tokens() -> list[Any]:
    reasoning = ratio(total(rate(USED_REASONING), MODEL), total(rate(USED_OUTPUT), MODEL))
    return [
        panel(
            "timeseries",
            "Input tokens a second, by team",
            "Cached ones included.",
            "short",
            Query(total(rate(USED_INPUT), TEAM), f"{{{{{TEAM}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "Output tokens a second, by team",
            "Reasoning included.",
            "short",
            Query(total(rate(USED_OUTPUT), TEAM), f"{{{{{TEAM}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "Reasoning, by model",
            "Share of output tokens spent on reasoning.",
            "percentunit",
            Query(reasoning, f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Input by modality",
            "Where the provider breaks its count down; else unknown.",
            "short",
            Query(total(rate(USED_INPUT), MODALITY), f"{{{{{MODALITY}}}}}"),
            stacked=True,
        ),
    ]


def _caching() -> list[Any]:
    def share(of: str) -> str:
        return ratio(total(rate(USED_CACHE_READ), of), total(rate(USED_INPUT), of))

    read, whole = total(increase(USED_CACHE_READ)), total(increase(USED_INPUT))
    return [
        panel(
            "stat",
            "Input from caches",
            "Share of input tokens read from a cache, in the chosen time.",
            "percentunit",
            Query(ratio(read, whole), instant=True),
            width=6,
            height=8,
        ),
        panel(
            "timeseries",
            "From caches, by model",
            "Share of input tokens.",
            "percentunit",
            Query(share(MODEL), f"{{{{{MODEL}}}}}"),
            width=9,
        ),
        panel(
            "timeseries",
            "From caches, by team",
            "Share of input tokens.",
            "percentunit",
            Query(share(TEAM), f"{{{{{TEAM}}}}}"),
            width=9,
        ),
        panel(
            "timeseries",
            "Read and written",
            "Tokens a second. Writes that are never read cost more than no cache.",
            "short",
            Query(total(rate(USED_CACHE_READ)), "read"),
            Query(total(rate(USED_CACHE_WRITE)), "written"),
            width=24,
        ),
    ]


def _a_call() -> list[Any]:
    return [
        panel(
            "heatmap",
            "Input tokens of a call",
            "Dots are calls: click one for its trace.",
            "short",
            Query(total(rate(INPUT_TOKENS, suffix="_bucket"), "le"), "{{le}}", exemplar=True),
        ),
        panel(
            "heatmap",
            "Output tokens of a call",
            "Dots are calls: click one for its trace.",
            "short",
            Query(total(rate(OUTPUT_TOKENS, suffix="_bucket"), "le"), "{{le}}", exemplar=True),
        ),
        panel(
            "timeseries",
            "Input tokens of a call, 95 in 100",
            "By model.",
            "short",
            Query(quantile(0.95, INPUT_TOKENS, MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Output tokens of a call, 95 in 100",
            "By model.",
            "short",
            Query(quantile(0.95, OUTPUT_TOKENS, MODEL), f"{{{{{MODEL}}}}}"),
        ),
    ]
