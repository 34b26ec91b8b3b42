-- What each day cost, and how many calls it had. Calls whose cost is unknown are counted with their group's first currency.
with parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit, day as on_day,
        count(*) as n, sum(cost) as amount, sum(unpriced + unmetered + partial + unstated) as n_unknown
    from calls
    group by by_1, by_2, by_3, by_4, currency, day
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
merged as (
    select by_1, by_2, by_3, by_4, home, on_day, sum(n) as n_calls, sum(amount) as spent, sum(n_unknown) as unknown_calls
    from placed
    group by by_1, by_2, by_3, by_4, home, on_day
),
peaks as (
    select
        *,
        max(spent) over (partition by by_1, by_2, by_3, by_4, home) as most_spent,
        max(unknown_calls) over (partition by by_1, by_2, by_3, by_4, home) as most_unknown
    from merged
)
select
    by_1, by_2, by_3, by_4, home as currency, cast(on_day as varchar) as date_of, n_calls, spent, unknown_calls
from peaks
where coalesce(most_spent, 0) >= $floor or most_unknown > 0
order by by_1, by_2, by_3, by_4, home, on_day
