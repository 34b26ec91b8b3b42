"""A local provider that speaks OpenAI's wire format on a real socket and keeps its own bill; see `LocalProvider`."""

from costspan.ledger.provider.asked import Asked
from costspan.ledger.provider.bill import Bill, Line, Tokens
from costspan.ledger.provider.faults import Faults
from costspan.ledger.provider.server import LocalProvider

__all__ = ["Asked", "Bill", "Faults", "Line", "LocalProvider", "Tokens"]
