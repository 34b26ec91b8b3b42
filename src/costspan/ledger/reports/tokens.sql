-- The tokens of calls that one price holds for, summed up: of a day, provider, model, tier and length.
with counted as (
    select
        *,
        case when $by_place = 1 then host end as place_host,
        case when $by_place = 1 then team end as place_team,
        case when batch then 1 else 0 end as batched,
        case when cost is null then 0 else 1 end as costed,
        case when cache_read_tokens is null then 1 else 0 end as silent,
        case when input_tokens >= $cacheable then input_tokens - coalesce(cache_read_tokens, 0) - coalesce(cache_write_tokens, 0)
             end as cold
    from calls
    where input_tokens is not null
)
select
    by_1, by_2, by_3, by_4,
    provider, request_model, response_model, response_tier, batched, place_host, place_team, operation, currency, costed, silent,
    band, rule_number,
    cast(day as varchar) as date_of,
    count(*) as n_calls,
    sum(cost) as spent,
    sum(input_tokens) as n_input,
    sum(output_tokens) as n_output,
    sum(cache_read_tokens) as n_cache_read,
    sum(cache_write_tokens) as n_cache_write,
    sum(cache_write_1h_tokens) as n_cache_write_1h,
    sum(reasoning_tokens) as n_reasoning,
    sum(audio_input_tokens) as n_audio_in,
    sum(audio_output_tokens) as n_audio_out,
    sum(image_input_tokens) as n_image_in,
    sum(image_output_tokens) as n_image_out,
    sum(case when cold > 0 then cold end) as n_cold,
    max(total_tokens) as largest
from counted
group by
    by_1, by_2, by_3, by_4,
    provider, request_model, response_model, response_tier, batched, place_host, place_team, operation, currency, costed, silent,
    band, rule_number, day
order by
    by_1, by_2, by_3, by_4,
    provider, request_model, response_model, response_tier, batched, place_host, place_team, operation, currency, costed, silent,
    band, rule_number, day
