-- What reports see on PostgreSQL: CTEs before each statement, so that a reader needs no right to make anything.
all_calls as not materialized (
    select
        trace_id, span_id, parent_span_id, started_at, latency, first_chunk, service, instance, environment, organisation, team,
        project, user_id, session_id, api_key, key_name, address, user_agent, provider, provider_organisation, provider_project,
        host, operation, endpoint, request_model, response_model, request_id, response_id, response_status, http_status,
        error_type, error_code, error_message, ended, finish_reasons, max_tokens, temperature,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
        audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens, context_window, request_tier,
        response_tier, attempt_count, cost, cost_state, cost_source, currency, price_version, fingerprint, labels, units,
        coalesce(stream, false) as stream,
        coalesce(batch, false) as batch,
        coalesce(demo, false) as demo,
        cast(started_at as date) as day,
        to_char(started_at, 'YYYY-MM-DD HH24:00') collate "C" as hour,
        to_char(started_at, 'YYYY-MM') collate "C" as month,
        to_char(started_at, 'FMDay') collate "C" as weekday,
        cast(date_part('epoch', started_at) * 1000000 as bigint) as at_us,
        coalesce(request_model, response_model) as model,
        coalesce(key_name, api_key) as key_label,
        case when input_tokens is null and output_tokens is null then null
             else coalesce(input_tokens, 0) + coalesce(output_tokens, 0) end as total_tokens,
        case when error_type is null then 0 else 1 end as failed,
        case when cost is null and cost_state = 'unpriced' then 1 else 0 end as unpriced,
        case when cost is null and cost_state = 'unmetered' then 1 else 0 end as unmetered,
        case when cost is null and cost_state = 'partial' then 1 else 0 end as partial,
        -- nothing is said about the cost of an answered call; a refused call costs nothing, a poll repeats another call's
        case when cost is null and cost_state is null and error_type is null and ended is null
                  and operation <> 'fetch_response'
             then 1 else 0 end as unstated
    from costspan.calls
),
all_attempts as not materialized (
    select *, cast(date_part('epoch', failed_at) * 1000000 as bigint) as failed_at_us from costspan.attempts
),
numbers_1_to_366 as not materialized (
    select cast(n as integer) as n from generate_series(1, 366) as g (n)
)
