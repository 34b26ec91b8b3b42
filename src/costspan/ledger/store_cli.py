"""``costspan store``: makes the ledger of a database ready. A file, and PostgreSQL, `costspan serve` makes ready by itself."""

from typing import Annotated

import typer

from costspan.ledger.errors import UsageError

app = typer.Typer(help="Make a database ready for a ledger.", no_args_is_help=True, rich_markup_mode=None)
StoreOption = Annotated[str, typer.Option("--store", metavar="STORE", help="postgresql://... or clickhouse://..., or a file.")]


@app.command()
def init(*, store: StoreOption) -> None:
    """Make the ledger's tables, or upgrade them; in ClickHouse with views over what the Collector's exporter writes."""
    from costspan.ledger.stores import CLICKHOUSE, Address, open_store, place_of  # noqa: PLC0415

    place = place_of(store)
    if isinstance(place, Address) and place.scheme in CLICKHOUSE:
        from costspan.ledger.stores.clickhouse import set_up  # noqa: PLC0415

        typer.echo(f"{place}: ready. Calls come from {' and '.join(set_up(place))}.")
        return
    open_store(place).close()
    typer.echo(f"{place}: ready.")


@app.command()
def sql(*, store: StoreOption) -> None:
    """Print the statements that `init` would run on ClickHouse, for someone else to run. Nothing is connected to."""
    from costspan.ledger.stores import CLICKHOUSE, Address, place_of  # noqa: PLC0415

    place = place_of(store)
    if not (isinstance(place, Address) and place.scheme in CLICKHOUSE):
        raise UsageError(
            "`costspan store sql` is for ClickHouse: on the others, `costspan serve` or `costspan store init` does it."
        )
    from costspan.ledger.stores.clickhouse import statements  # noqa: PLC0415
    from costspan.ledger.stores.clickhouse_views import LOGS, TRACES  # noqa: PLC0415

    typer.echo(";\n\n".join(statements([TRACES, LOGS])) + ";")
