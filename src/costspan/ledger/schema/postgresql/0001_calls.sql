-- One row a call. Times are UTC with microseconds; money is exact to 12 places; what the sender did not say is null, never 0.
-- Texts are compared byte by byte, as on the other engines, whatever the database's own collation is. What reports read most comes
-- first: PostgreSQL walks through a row up to the last column that it needs.
create table calls (
    started_at timestamp not null,
    latency double precision,
    http_status bigint,
    input_tokens bigint,
    output_tokens bigint,
    attempt_count bigint,
    cost numeric(18, 12),
    currency text collate "C",
    cost_state text collate "C",
    error_type text collate "C",
    ended text collate "C",
    operation text collate "C" not null,
    provider text collate "C" not null,
    request_model text collate "C",
    response_model text collate "C",
    team text collate "C",
    service text collate "C",
    project text collate "C",
    user_id text collate "C",
    key_name text collate "C",
    api_key text collate "C",
    cache_read_tokens bigint,
    first_chunk double precision,
    endpoint text collate "C",
    finish_reasons text collate "C",
    environment text collate "C",
    organisation text collate "C",
    fingerprint text collate "C",
    trace_id text collate "C" not null,
    span_id text collate "C" not null,
    max_tokens bigint,
    reasoning_tokens bigint,
    cache_write_tokens bigint,
    context_window bigint,
    response_tier text collate "C",
    stream boolean,
    batch boolean,
    demo boolean,
    session_id text collate "C",
    parent_span_id text collate "C",
    instance text collate "C",
    address text collate "C",
    user_agent text collate "C",
    provider_organisation text collate "C",
    provider_project text collate "C",
    host text collate "C",
    request_id text collate "C",
    response_id text collate "C",
    response_status text collate "C",
    error_code text collate "C",
    error_message text collate "C",
    temperature double precision,
    cache_write_1h_tokens bigint,
    audio_input_tokens bigint,
    audio_output_tokens bigint,
    image_input_tokens bigint,
    image_output_tokens bigint,
    request_tier text collate "C",
    cost_source text collate "C",
    price_version text collate "C",
    labels text collate "C",
    -- several servers may be sent the same span at the same moment: only a unique key keeps the second one out
    primary key (started_at, trace_id, span_id)
);
-- a response that is fetched is looked up among those that have usage already
create index calls_response on calls using hash (response_id) where response_id is not null;

-- One row for each failed HTTP attempt inside a call.
create table attempts (
    trace_id text collate "C" not null,
    span_id text collate "C" not null,
    call_started_at timestamp not null,
    number bigint,
    failed_at timestamp,
    elapsed double precision,
    http_status bigint,
    error_type text collate "C",
    retry_after double precision
);
create index attempts_call on attempts (call_started_at, trace_id, span_id);

-- PostgreSQL's own sum of bigint is numeric, which could not be told from money.
create aggregate sum(bigint) (
    sfunc = pg_catalog.int8pl, stype = bigint, combinefunc = pg_catalog.int8pl,
    msfunc = pg_catalog.int8pl, minvfunc = pg_catalog.int8mi, mstype = bigint,
    parallel = safe
);
create function label_of(labels text, name text) returns text
    language sql immutable parallel safe
    return (labels::json ->> name) collate "C";
