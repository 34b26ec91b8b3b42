"""What an auditor asks of a ledger: exports, a digest of each day, a trail of who did what, and erasing that is on record.

canonical.py  calls as text: JSON lines (what digests are over), CSV
attempts.py   the failed attempts of calls, as one more column of theirs
sessions.py   one transaction of a store, the same for DuckDB and PostgreSQL (ClickHouse: reading only)
selection.py  which calls are meant, in slices that fit into memory, in a stable order
chain.py      entries that hold the hash of the one before
trail.py      who did what, when
days.py       closing days, and addenda for calls that came late
verify.py     recomputing all of it
erase.py      retention and forget
requests.py   what the command line asks of a store, or of the server that has it open
export.py     files, and going on with one
cli.py        the commands
"""
