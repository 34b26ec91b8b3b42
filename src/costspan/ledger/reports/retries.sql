-- Calls that needed more than one attempt. A failed attempt says no usage, so what it cost is unknown; the dollars are those
-- that the provider reported for retried calls which failed in the end.
with tries as (
    select
        trace_id, span_id, call_started_at,
        sum(elapsed) as seconds,
        sum(case when http_status = 429 then 1 else 0 end) as limited,
        sum(case when http_status >= 500 then 1 else 0 end) as broken,
        sum(case when http_status is null then 1 else 0 end) as silent
    from attempts
    group by trace_id, span_id, call_started_at
),
parts as (
    select
        c.by_1, c.by_2, c.by_3, c.by_4, c.currency as unit,
        count(*) as n, sum(c.attempt_count - 1) as extra, sum(t.seconds) as lost,
        sum(t.limited) as n_limited, sum(t.broken) as n_broken, sum(t.silent) as n_silent,
        sum(1 - c.failed) as n_recovered, sum(case when c.failed = 1 then c.cost end) as wasted
    from calls as c
    left join tries as t on c.trace_id = t.trace_id and c.span_id = t.span_id and c.started_at = t.call_started_at
    where c.attempt_count > 1
    group by c.by_1, c.by_2, c.by_3, c.by_4, c.currency
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
)
select
    by_1, by_2, by_3, by_4,
    sum(n) as retried_calls,
    sum(extra) as retries,
    sum(n_recovered) as recovered,
    sum(n_limited) as rate_limited,
    sum(n_broken) as server_errors,
    sum(n_silent) as no_reply,
    sum(lost) as seconds_wasted,
    sum(wasted) as cost,
    home as currency,
    sum(extra) as cost_unknown
from placed
group by by_1, by_2, by_3, by_4, home
order by sum(extra) desc, by_1, by_2, by_3, by_4, home
