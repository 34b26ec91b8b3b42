-- What reports see on ClickHouse: CTEs before each statement.
-- A response fetched again says the same usage again: of the calls that say it, one keeps tokens and cost.
costspan_fetched_again as (
    select fetched
    from (
        select
            fetched,
            row_number() over (
                partition by response_id order by operation = 'fetch_response', started_at, trace_id, span_id
            ) as place
        from costspan_calls final
        where response_id in (
                select response_id from costspan_calls where fetched <> '' and response_id is not null
            )
            and (cost is not null or input_tokens is not null or output_tokens is not null)
    ) as said
    where place > 1 and fetched <> ''
),
costspan_counted as (
    select *, fetched <> '' and fetched in (select fetched from costspan_fetched_again) as again
    from costspan_calls final
),
all_calls as (
    select
        * except (
            stream, batch, demo, again, cost, cost_state, cost_source, currency, input_tokens, output_tokens, cache_read_tokens,
            cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens,
            image_input_tokens, image_output_tokens
        ),
        if(again, null, c.input_tokens) as input_tokens,
        if(again, null, c.output_tokens) as output_tokens,
        if(again, null, c.cache_read_tokens) as cache_read_tokens,
        if(again, null, c.cache_write_tokens) as cache_write_tokens,
        if(again, null, c.cache_write_1h_tokens) as cache_write_1h_tokens,
        if(again, null, c.reasoning_tokens) as reasoning_tokens,
        if(again, null, c.audio_input_tokens) as audio_input_tokens,
        if(again, null, c.audio_output_tokens) as audio_output_tokens,
        if(again, null, c.image_input_tokens) as image_input_tokens,
        if(again, null, c.image_output_tokens) as image_output_tokens,
        if(again, null, c.cost) as cost,
        if(again, null, c.cost_state) as cost_state,
        if(again, null, c.cost_source) as cost_source,
        if(again, null, c.currency) as currency,
        coalesce(c.stream, false) as stream,
        coalesce(c.batch, false) as batch,
        coalesce(c.demo, false) as demo,
        toDate(started_at) as day,
        formatDateTime(started_at, '%Y-%m-%d %H:00') as hour,
        formatDateTime(started_at, '%Y-%m') as month,
        dateName('weekday', started_at) as weekday,
        toUnixTimestamp64Micro(started_at) as at_us,
        coalesce(request_model, response_model) as model,
        coalesce(key_name, api_key) as key_label,
        if(again or c.input_tokens is null and c.output_tokens is null, null,
           coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0)) as total_tokens,
        toInt64(if(error_type is null, 0, 1)) as failed,
        toInt64(if(c.cost is null and c.cost_state = 'unpriced', 1, 0)) as unpriced,
        toInt64(if(c.cost is null and c.cost_state = 'unmetered', 1, 0)) as unmetered,
        toInt64(if(c.cost is null and c.cost_state = 'partial', 1, 0)) as partial,
        -- nothing is said about the cost of an answered call; a refused call costs nothing, a poll repeats another call's
        toInt64(if(c.cost is null and c.cost_state is null and error_type is null and ended is null
                   and operation <> 'fetch_response', 1, 0)) as unstated
    from costspan_counted as c
),
all_attempts as (
    select * except (place), toUnixTimestamp64Micro(failed_at) as failed_at_us from costspan_attempts final
),
numbers_1_to_366 as (
    select toInt32(number + 1) as n from numbers(366)
)
