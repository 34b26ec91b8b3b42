"""``costspan prices update``: a newer table from genai-prices, checked before it replaces the one in use."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from costspan.prices.resolve import as_charged
from costspan.prices.table import Table, TableError

if TYPE_CHECKING:
    from genai_prices.types import Provider

_MUST_HAVE = ("anthropic", "aws", "google", "openai")


class UpdateError(RuntimeError):
    """The prices could not be renewed; the ones in use stay. The message says why and what to do."""


def renew(path: Path, *, url: str | None = None, installed: bool = False) -> tuple[Table, list[str]]:
    """Write a renewed table to `path`: the newest (from `url`, else genai-prices' own), or the `installed` package's.

    Returns the table, and the models left out because the installed genai-prices does not know how they are billed.

    Raises:
        UpdateError: no genai-prices, no network, no usable data, or `path` cannot be written.
    """
    try:
        import genai_prices.data  # noqa: PLC0415 - an extra
        from genai_prices.data_units import unit_data  # noqa: PLC0415

        from costspan.ledger.price_source import build, newest_day  # noqa: PLC0415
    except ImportError as error:
        raise UpdateError(f"genai-prices is not installed ({error}); run: pip install 'costspan[prices]'") from error
    try:
        providers = _installed() if installed else _fetched(url)
        fetched = None if installed else datetime.now(UTC)
        built_at = fetched or newest_day(Path(genai_prices.data.__file__).read_text(encoding="utf-8"))
        content, skipped = build(providers, unit_data, version=genai_prices.__version__, built_at=built_at)
        table = _checked(content)
    except ValueError as error:
        raise UpdateError(f"what came is not usable as prices: {error}") from error
    try:
        _replace(path, content)
    except OSError as error:
        raise UpdateError(f"{path} cannot be written: {error.strerror or error}") from error
    return table, skipped


def _installed() -> "list[Provider]":
    from genai_prices.data import providers  # noqa: PLC0415

    return providers


def _fetched(url: str | None) -> "list[Provider]":
    import httpx2  # noqa: PLC0415
    from genai_prices.update_prices import DEFAULT_UPDATE_URL, UpdatePrices  # noqa: PLC0415

    url = url or DEFAULT_UPDATE_URL
    try:
        snapshot = UpdatePrices(url=url).fetch()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        hint = "with no network, renew from an upgraded package: pip install -U genai-prices; costspan prices update --installed"
        raise UpdateError(f"{url} could not be fetched: {error or type(error).__name__}; {hint}") from error
    if snapshot is None:
        raise UpdateError(f"{url} gave no prices")
    return snapshot.providers


def _checked(content: bytes) -> Table:
    """The table, after every price in it was read as it would be when it is charged.

    Raises:
        ValueError: something in it cannot be charged, or a great provider is missing.
    """
    table = Table(content, verify=True)
    if missing := [identity for identity in _MUST_HAVE if not table.header.providers.get(identity, (0, 0, 0))[2]]:
        raise TableError(f"no models of {', '.join(missing)}")
    for identity in table.header.providers:
        provider = table.provider(identity)
        for model in provider.models if provider else ():
            if not model.prices:
                raise TableError(f"{identity}/{model.id} has no prices")
            for rates in (*(rates for _, rates in model.prices), *(rates for _, _, rates in model.variants)):
                as_charged(rates, table)
    return table


def _replace(path: Path, content: bytes) -> None:
    """All or nothing: a reader sees the old file or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(file.name, path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
