-- Calls whose cost is unknown have no currency: they are counted with their group's first one.
with parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit,
        count(*) as n, sum(input_tokens) as tokens_in, sum(output_tokens) as tokens_out, sum(total_tokens) as tokens,
        sum(cost) as amount, sum(failed) as failures, sum(latency) as seconds, count(latency) as timed,
        sum(unpriced) as n_unpriced, sum(unmetered) as n_unmetered, sum(partial) as n_partial, sum(unstated) as n_unstated
    from calls
    group by by_1, by_2, by_3, by_4, currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
merged as (
    select
        by_1, by_2, by_3, by_4, home,
        sum(n) as n_calls, sum(tokens_in) as n_in, sum(tokens_out) as n_out, sum(tokens) as n_tokens,
        sum(amount) as spent, sum(failures) as n_failed, sum(seconds) as n_seconds, sum(timed) as n_timed,
        sum(n_unpriced) as sum_unpriced, sum(n_unmetered) as sum_unmetered, sum(n_partial) as sum_partial,
        sum(n_unstated) as sum_unstated
    from placed
    group by by_1, by_2, by_3, by_4, home
),
spreads as (
    select by_1, by_2, by_3, by_4, spread(latency) as times from calls group by by_1, by_2, by_3, by_4
),
tails as (
    select by_1, by_2, by_3, by_4, p95(times) as tail from spreads
)
select
    m.by_1, m.by_2, m.by_3, m.by_4,
    m.n_calls as calls,
    m.n_in as input_tokens,
    m.n_out as output_tokens,
    m.n_tokens as total_tokens,
    m.spent as cost,
    m.home as currency,
    cast(m.spent as double precision) / nullif(cast(sum(m.spent) over (partition by m.home) as double precision), 0) as share,
    cast(m.n_seconds as double precision) / nullif(cast(m.n_timed as double precision), 0) as latency_avg,
    t.tail as latency_p95,
    cast(m.n_failed as double precision) / nullif(cast(m.n_calls as double precision), 0) as error_rate,
    m.sum_unpriced as unpriced,
    m.sum_unmetered as unmetered,
    m.sum_partial as partial,
    m.sum_unstated as unstated
from merged as m
join tails as t
    on coalesce(m.by_1, '') = coalesce(t.by_1, '') and coalesce(m.by_2, '') = coalesce(t.by_2, '')
    and coalesce(m.by_3, '') = coalesce(t.by_3, '') and coalesce(m.by_4, '') = coalesce(t.by_4, '')
order by
    case $time_group when 1 then m.by_1 when 2 then m.by_2 when 3 then m.by_3 when 4 then m.by_4 end,
    m.spent desc nulls last, m.n_calls desc, m.by_1, m.by_2, m.by_3, m.by_4, m.home
