-- Times are of answered calls: a refusal is quick and a time-out slow, and neither says how fast a model answers.
with totals as (
    select by_1, by_2, by_3, by_4, sum(failed) as n_failed from calls group by by_1, by_2, by_3, by_4
),
spreads as (
    select
        by_1, by_2, by_3, by_4,
        count(latency) as n_timed, avg(latency) as average, max(latency) as longest,
        count(first_chunk) as n_streams, spread(latency) as wholes, spread(first_chunk) as firsts,
        sum(case when latency > 0 then output_tokens end) as said,
        sum(case when output_tokens is not null then latency end) as talking
    from calls
    where error_type is null and ended is null
    group by by_1, by_2, by_3, by_4
),
answered as (
    select
        by_1, by_2, by_3, by_4, n_timed, average, longest, n_streams, said, talking,
        p50(wholes) as whole_50, p95(wholes) as whole_95, p99(wholes) as whole_99,
        p50(firsts) as first_50, p95(firsts) as first_95, p99(firsts) as first_99
    from spreads
)
select
    t.by_1, t.by_2, t.by_3, t.by_4,
    coalesce(a.n_timed, 0) as calls,
    a.average as latency_avg,
    a.whole_50 as latency_p50,
    a.whole_95 as latency_p95,
    a.whole_99 as latency_p99,
    a.longest as latency_max,
    coalesce(a.n_streams, 0) as streams,
    a.first_50 as first_chunk_p50,
    a.first_95 as first_chunk_p95,
    a.first_99 as first_chunk_p99,
    cast(a.said as double precision) / nullif(a.talking, 0) as tokens_per_second,
    t.n_failed as failed_calls
from totals as t
left join answered as a
    on coalesce(t.by_1, '') = coalesce(a.by_1, '') and coalesce(t.by_2, '') = coalesce(a.by_2, '')
    and coalesce(t.by_3, '') = coalesce(a.by_3, '') and coalesce(t.by_4, '') = coalesce(a.by_4, '')
order by
    case $time_group when 1 then t.by_1 when 2 then t.by_2 when 3 then t.by_3 when 4 then t.by_4 end,
    a.whole_95 desc nulls last, t.by_1, t.by_2, t.by_3, t.by_4
