-- Calls whose cost is unknown have no currency: they are counted with their group's first one. Shares are of all cost, also of
-- what the least cost leaves out. A row is left out only if its cost is known to be below: each call has one, or cost nothing.
with parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit,
        count(*) as n, sum(input_tokens) as tokens_in, sum(output_tokens) as tokens_out, sum(cost) as amount,
        sum(unpriced + unmetered + partial + unstated) as n_unknown, max(started_at) as latest
    from calls
    group by by_1, by_2, by_3, by_4, currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
merged as (
    select
        by_1, by_2, by_3, by_4, home,
        sum(n) as n_calls, sum(tokens_in) as n_in, sum(tokens_out) as n_out, sum(amount) as spent,
        sum(n_unknown) as unknown_calls, max(latest) as last_one
    from placed
    group by by_1, by_2, by_3, by_4, home
),
shared as (
    select *, cast(sum(spent) over (partition by home) as double precision) as whole from merged
)
select
    by_1, by_2, by_3, by_4,
    n_calls as calls,
    n_in as input_tokens,
    n_out as output_tokens,
    spent as cost,
    home as currency,
    cast(spent as double precision) / nullif(whole, 0) as share,
    last_one as last_call,
    unknown_calls as cost_unknown
from shared
where coalesce(spent, 0) >= $min_cost or unknown_calls > 0
order by spent desc nulls last, n_calls desc, by_1, by_2, by_3, by_4, home
