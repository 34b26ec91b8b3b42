"""The ledger's own price for calls whose senders state none: other instrumentations say tokens, and few say an amount.

It is the same price book that costspan prices by in a program, at the call's start; the server's COSTSPAN_PRICES hold too.
"""

from typing import Final

from costspan import names
from costspan.call import Call, Usage
from costspan.ledger.rows import AT, Row
from costspan.prices import PriceBook

_PROVIDER, _OPERATION, _HOST, _TEAM = (AT[name] for name in ("provider", "operation", "host", "team"))
_ASKED, _ANSWERED, _TIER, _BATCH = (AT[name] for name in ("request_model", "response_model", "response_tier", "batch"))
_STATUS, _ERROR, _ENDED, _STARTED = (AT[name] for name in ("http_status", "error_type", "ended", "started_at"))
_COST, _STATE, _SOURCE, _CURRENCY, _VERSION, _WINDOW = (
    AT[name] for name in ("cost", "cost_state", "cost_source", "currency", "price_version", "context_window")
)
_USAGE: Final = (
    ("input_tokens", AT["input_tokens"]),
    ("output_tokens", AT["output_tokens"]),
    ("cache_read_tokens", AT["cache_read_tokens"]),
    ("cache_write_tokens", AT["cache_write_tokens"]),
    ("cache_write_1h_tokens", AT["cache_write_1h_tokens"]),
    ("reasoning_tokens", AT["reasoning_tokens"]),
)
_PARTS: Final = (
    ("input_audio_tokens", AT["audio_input_tokens"]),
    ("output_audio_tokens", AT["audio_output_tokens"]),
    ("input_image_tokens", AT["image_input_tokens"]),
    ("output_image_tokens", AT["image_output_tokens"]),
)
"""Said as 0 by many that only mean that there is none."""
_FETCH: Final = "fetch_response"


def price(row: Row, book: PriceBook, *, stated: float | None = None, estimated: bool = False) -> None:
    """Fills in what the call of `row` cost, or why that is not known, where its sender said neither.

    `stated` is an amount by the sender's own price list, taken only where `book` has no price; `estimated` says that the counts
    are not the provider's, or not all of them.
    """
    if row[_COST] is not None or row[_STATE] is not None:
        return
    usage = _usage(row)
    if usage is None and (row[_ERROR] is not None or row[_OPERATION] == _FETCH):
        return  # nothing is known of a failed call's bill: others don't say whether it was refused
    call = _as_call(row, usage)
    book.price(call)
    row[_WINDOW] = row[_WINDOW] or call.context_window
    row[_STATE], row[_VERSION] = call.cost_state, call.price_version
    if call.cost is not None:
        row[_COST], row[_CURRENCY] = call.cost, call.currency
        row[_SOURCE] = names.BY_ESTIMATE if estimated else names.BY_LEDGER
    elif call.cost_state == names.UNPRICED and stated is not None and stated > 0:  # 0 is what some say of no price
        row[_COST], row[_CURRENCY], row[_SOURCE], row[_STATE], row[_VERSION] = stated, "USD", names.BY_SENDER, names.PRICED, None


def _usage(row: Row) -> Usage | None:
    said = {field: row[index] for field, index in _USAGE if row[index] is not None}
    said |= {field: row[index] for field, index in _PARTS if row[index]}
    return Usage(**said) if said else None


def _as_call(row: Row, usage: Usage | None) -> Call:
    return Call(
        provider=row[_PROVIDER],
        operation=row[_OPERATION],
        host=row[_HOST] or "",
        request_model=row[_ASKED],
        response_model=row[_ANSWERED],
        response_tier=row[_TIER],
        batch=bool(row[_BATCH]),
        labels={names.TEAM: row[_TEAM]} if row[_TEAM] else {},
        status=row[_STATUS],
        error_type=row[_ERROR],
        ended=row[_ENDED],
        complete=row[_ERROR] is None and row[_ENDED] is None,
        started_ns=row[_STARTED] * 1_000,
        usage=usage,
    )
