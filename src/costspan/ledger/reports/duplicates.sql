-- A duplicate is an answered call whose request was answered before, within the window. Repeats of a failed call are retries.
-- `failed = 0`, not `error_type is null`: PostgreSQL takes it for rare, and so sorts in parallel, in a quarter of the time.
-- Most requests are made once, so those that are not are sought out before the calls are put in order.
with repeated as (
    select fingerprint as again
    from calls
    where fingerprint is not null and failed = 0 and ended is null and operation <> 'fetch_response'
    group by fingerprint
    having count(*) > 1
),
answered as (
    select
        by_1, by_2, by_3, by_4, currency, cost, total_tokens, fingerprint, at_us,
        lag(at_us, 1, 0) over (partition by provider, endpoint, fingerprint order by at_us, trace_id, span_id) as before_us
    from calls
    where fingerprint in (select again from repeated) and failed = 0 and ended is null and operation <> 'fetch_response'
),
parts as (
    select
        by_1, by_2, by_3, by_4, currency as unit,
        count(*) as n, count(distinct fingerprint) as n_requests, sum(total_tokens) as tokens, sum(cost) as amount,
        sum(case when cost is null then 1 else 0 end) as n_unknown
    from answered
    where before_us > 0 and at_us - before_us <= $window_us
    group by by_1, by_2, by_3, by_4, currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
)
select
    by_1, by_2, by_3, by_4,
    sum(n) as duplicates,
    max(n_requests) as requests,
    sum(tokens) as wasted_tokens,
    sum(amount) as cost,
    home as currency,
    sum(n_unknown) as cost_unknown
from placed
group by by_1, by_2, by_3, by_4, home
order by sum(amount) desc nulls last, sum(n) desc, by_1, by_2, by_3, by_4, home
