-- What the least cost leaves out of chargeback, by currency.
with parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit,
        count(*) as n, sum(cost) as amount, sum(unpriced + unmetered + partial + unstated) as n_unknown
    from calls
    group by by_1, by_2, by_3, by_4, currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
merged as (
    select by_1, by_2, by_3, by_4, home, sum(n) as n_calls, sum(amount) as spent, sum(n_unknown) as unknown_calls
    from placed
    group by by_1, by_2, by_3, by_4, home
)
select home as currency, count(*) as n_rows, sum(n_calls) as calls_found, sum(spent) as amount_left
from merged
where coalesce(spent, 0) < $min_cost and unknown_calls = 0
group by home
order by home
