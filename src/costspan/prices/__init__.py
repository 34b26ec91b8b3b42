"""What a call costs, from the provider's own counts: a price table, overrides of one's own, and exact arithmetic."""

from costspan.prices.book import PriceBook
from costspan.prices.overrides import PriceFileError

__all__ = ["PriceBook", "PriceFileError"]
