-- Cost per call is of the calls whose cost is known. Calls of unknown cost are counted with their group's first currency.
with parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit,
        count(*) as n, sum(input_tokens) as tokens_in, sum(output_tokens) as tokens_out, sum(cost) as amount,
        count(cost) as n_known, sum(failed) as failures, sum(unpriced + unmetered + partial + unstated) as n_unknown
    from calls
    group by by_1, by_2, by_3, by_4, currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
merged as (
    select
        by_1, by_2, by_3, by_4, home,
        sum(n) as n_calls, sum(tokens_in) as n_in, sum(tokens_out) as n_out, sum(amount) as spent, sum(n_known) as known_calls,
        sum(failures) as n_failed, sum(n_unknown) as unknown_calls
    from placed
    group by by_1, by_2, by_3, by_4, home
),
spreads as (
    select by_1, by_2, by_3, by_4, spread(latency) as times from calls group by by_1, by_2, by_3, by_4
),
tails as (
    select by_1, by_2, by_3, by_4, p50(times) as half, p95(times) as most, p99(times) as nearly_all from spreads
)
select
    m.by_1, m.by_2, m.by_3, m.by_4,
    m.n_calls as calls,
    m.n_in as input_tokens,
    m.n_out as output_tokens,
    m.spent as cost,
    m.home as currency,
    cast(m.spent as double precision) / nullif(cast(sum(m.spent) over (partition by m.home) as double precision), 0) as share,
    cast(m.spent as double precision) / nullif(cast(m.known_calls as double precision), 0) as cost_per_call,
    t.half as latency_p50,
    t.most as latency_p95,
    t.nearly_all as latency_p99,
    cast(m.n_failed as double precision) / nullif(cast(m.n_calls as double precision), 0) as error_rate,
    m.unknown_calls as cost_unknown
from merged as m
join tails as t
    on coalesce(m.by_1, '') = coalesce(t.by_1, '') and coalesce(m.by_2, '') = coalesce(t.by_2, '')
    and coalesce(m.by_3, '') = coalesce(t.by_3, '') and coalesce(m.by_4, '') = coalesce(t.by_4, '')
order by
    case $time_group when 1 then m.by_1 when 2 then m.by_2 when 3 then m.by_3 when 4 then m.by_4 end,
    m.spent desc nulls last, m.n_calls desc, m.by_1, m.by_2, m.by_3, m.by_4, m.home
