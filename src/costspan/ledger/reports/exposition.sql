-- What Prometheus scrapes: all calls by team and model, those that were seen first, first, so that a series keeps its place.
select
    team, model, currency as unit,
    min(at_us) as first_us,
    count(*) as n_calls, sum(cost) as spent, sum(failed) as n_failed,
    sum(unpriced) as unpriced_calls, sum(unmetered) as unmetered_calls, sum(partial) as partial_calls,
    sum(unstated) as unstated_calls
from calls
group by team, model, currency
