-- What the page's first view is made of: each day's calls by team and by model, and what is known of their cost.
with cells as (
    select
        cast(day as varchar) as date_of, team, model, currency as unit,
        count(*) as n, sum(cost) as amount, sum(failed) as failures, sum(total_tokens) as tokens,
        sum(unpriced) as n_unpriced, sum(unmetered) as n_unmetered, sum(partial) as n_partial, sum(unstated) as n_unstated
    from calls
    group by day, team, model, currency
)
select
    'team' as kind, date_of, team as name, unit as currency,
    sum(n) as n_calls, sum(amount) as spent, sum(failures) as n_failed, sum(tokens) as n_tokens,
    sum(n_unpriced) as unpriced_calls, sum(n_unmetered) as unmetered_calls, sum(n_partial) as partial_calls,
    sum(n_unstated) as unstated_calls
from cells
group by date_of, team, unit
union all
select
    'model', date_of, model, unit,
    sum(n), sum(amount), sum(failures), sum(tokens), sum(n_unpriced), sum(n_unmetered), sum(n_partial), sum(n_unstated)
from cells
group by date_of, model, unit
