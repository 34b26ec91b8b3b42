-- What stands under every report: how many calls, in which time, what they cost, and of how many that is not known.
select
    currency,
    count(*) as calls_found,
    min(started_at) as first_call,
    max(started_at) as last_call,
    sum(cost) as total_cost,
    sum(unpriced) as unpriced_calls,
    sum(unmetered) as unmetered_calls,
    sum(partial) as partial_calls,
    sum(unstated) as unstated_calls
from calls
group by currency
order by currency
