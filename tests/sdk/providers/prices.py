"""What the other providers' models cost here, for the bill; `TOML` says the same to costspan, written by hand as well."""

from decimal import Decimal

from costspan.ledger.provider.bill import PRICES, Price


def _price(input: str, output: str = "0", **others: str) -> Price:
    return Price(Decimal(input), Decimal(output), **{name: Decimal(value) for name, value in others.items()})


ALL: dict[str, Price] = {
    **PRICES,
    "claude-sonnet-4-6": _price("3", "15", cached="0.30", cache_write="3.75"),
    "gemini-2.5-pro": _price("1.25", "10", cached="0.31"),
    "gemini-embedding-001": _price("0.15"),
    "mistral-small-latest": _price("0.10", "0.30"),
    "mistral-embed": _price("0.10"),
    "llama-3.3-70b": _price("0.59", "0.79"),
    "command-a-03-2025": _price("2.50", "10"),
    "embed-v4.0": _price("0.12"),
    "rerank-v3.5": _price("0", search="2000"),
    "us.amazon.nova-lite-v1:0": _price("0.06", "0.24", cached="0.015"),
    "llama3.2": _price("0.05", "0.08"),
}
"""US dollars a million tokens or searches."""

TOML = """
"gpt-4.1" = { input = 2, output = 8 }
"text-embedding-3-small" = { input = 0.02 }
"claude-sonnet-4-6" = { input = 3, output = 15, cached = 0.30, cache_write = 3.75 }
"gemini-2.5-pro" = { input = 1.25, output = 10, cached = 0.31 }
"gemini-embedding-001" = { input = 0.15 }
"mistral-small-latest" = { input = 0.10, output = 0.30 }
"mistral-embed" = { input = 0.10 }
"llama-3.3-70b" = { input = 0.59, output = 0.79 }
"command-a-03-2025" = { input = 2.50, output = 10 }
"embed-v4.0" = { input = 0.12 }
"rerank-v3.5" = { rerank = 0.002 }
"us.amazon.nova-lite-v1:0" = { input = 0.06, output = 0.24, cached = 0.015 }
"llama3.2" = { input = 0.05, output = 0.08 }
"""
