-- What proves that the calls of a day are those that were there when the day was closed (docs/audit.md). Each row of `audit_days` and of
-- `audit_trail` holds the hash of the row before it.
create table audit_days (
    number bigint primary key,
    kind varchar not null,
    day varchar not null,
    calls bigint not null,
    digest varchar not null,
    calls_before bigint,
    digest_before varchar,
    changed bigint,
    detail varchar,
    recorded_at timestamp not null,
    seal varchar not null,
    previous varchar not null,
    entry varchar not null
);
create table audit_trail (
    number bigint primary key,
    recorded_at timestamp not null,
    actor varchar not null,
    action varchar not null,
    resource varchar not null,
    detail varchar,
    chain varchar not null,
    seal varchar not null,
    previous varchar not null,
    entry varchar not null
);
-- Calls that came after their day was closed, until an addendum of the chain holds them.
create table audit_late (
    trace_id varchar not null,
    span_id varchar not null,
    started_at timestamp not null
);
