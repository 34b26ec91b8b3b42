-- What reports see on DuckDB, made anew on each connection (temporary: a store opened read-only has them too).
create or replace temp macro spread(x) as quantile_cont(x, [0.5, 0.95, 0.99]);
create or replace temp macro p50(s) as s[1];
create or replace temp macro p95(s) as s[2];
create or replace temp macro p99(s) as s[3];
-- stores of earlier versions have counts that are a sender's mistake, and that no sum can hold
create or replace temp macro possible(n) as case when n <= 1000000000000 then n end;
create or replace temp macro label_of(labels, name) as json_extract_string(labels, '$."' || name || '"');

create or replace temp view all_calls as
select
    * exclude (stream, batch, demo, input_tokens, output_tokens, attempt_count),
    possible(input_tokens) as input_tokens,
    possible(output_tokens) as output_tokens,
    possible(attempt_count) as attempt_count,
    coalesce(stream, false) as stream,
    coalesce(batch, false) as batch,
    coalesce(demo, false) as demo,
    cast(started_at as date) as day,
    strftime(started_at, '%Y-%m-%d %H:00') as hour,
    strftime(started_at, '%Y-%m') as month,
    dayname(started_at) as weekday,
    epoch_us(started_at) as at_us,
    coalesce(request_model, response_model) as model,
    coalesce(key_name, api_key) as key_label,
    case when possible(input_tokens) is null and possible(output_tokens) is null then null
         else coalesce(possible(input_tokens), 0) + coalesce(possible(output_tokens), 0) end as total_tokens,
    case when error_type is null then 0 else 1 end as failed,
    case when cost is null and cost_state = 'unpriced' then 1 else 0 end as unpriced,
    case when cost is null and cost_state = 'unmetered' then 1 else 0 end as unmetered,
    case when cost is null and cost_state = 'partial' then 1 else 0 end as partial,
    -- nothing is said about the cost of an answered call; a refused call costs nothing, a poll repeats another call's
    case when cost is null and cost_state is null and error_type is null and ended is null and operation <> 'fetch_response'
         then 1 else 0 end as unstated
from main.calls;

create or replace temp view all_attempts as
select
    *,
    epoch_us(failed_at) as failed_at_us
from main.attempts;

create or replace temp view numbers_1_to_366 as select cast(range as integer) as n from range(1, 367);
