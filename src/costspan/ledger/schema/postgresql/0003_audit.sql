-- What proves that the calls of a day are those that were there when the day was closed (docs/audit.md). Each row of `audit_days` and of
-- `audit_trail` holds the hash of the row before it.
create table audit_days (
    number bigint primary key,
    kind text collate "C" not null,
    day text collate "C" not null,
    calls bigint not null,
    digest text collate "C" not null,
    calls_before bigint,
    digest_before text collate "C",
    changed bigint,
    detail text collate "C",
    recorded_at timestamp not null,
    seal text collate "C" not null,
    previous text collate "C" not null,
    entry text collate "C" not null
);
create table audit_trail (
    number bigint primary key,
    recorded_at timestamp not null,
    actor text collate "C" not null,
    action text collate "C" not null,
    resource text collate "C" not null,
    detail text collate "C",
    chain text collate "C" not null,
    seal text collate "C" not null,
    previous text collate "C" not null,
    entry text collate "C" not null
);
-- Calls that came after their day was closed, until an addendum of the chain holds them.
create table audit_late (
    trace_id text collate "C" not null,
    span_id text collate "C" not null,
    started_at timestamp not null
);
