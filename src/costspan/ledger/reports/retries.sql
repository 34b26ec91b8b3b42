-- Calls that needed more than one attempt. A failed attempt says no usage, so what it cost is unknown; the dollars are those
-- that the provider reported for retried calls which failed in the end.
-- Lost is all the time of a call that failed in the end; of one that succeeded, the time up to its last failed attempt, and the
-- wait after that where the refusal asked for one (as far as the call lasted).
with numbered as (
    select
        *,
        row_number() over (
            partition by trace_id, span_id, call_started_at order by number desc nulls last, failed_at_us desc nulls last, elapsed
        ) as place
    from attempts
),
tries as (
    select
        trace_id, span_id, call_started_at,
        count(*) as n_tries, sum(elapsed) as seconds, max(failed_at_us) as last_us,
        max(case when place = 1 then retry_after end) as asked_wait,
        sum(case when http_status = 429 then 1 else 0 end) as limited,
        sum(case when http_status >= 500 then 1 else 0 end) as broken,
        sum(case when http_status is null then 1 else 0 end) as silent
    from numbered
    group by trace_id, span_id, call_started_at
),
begun as (
    select
        c.by_1, c.by_2, c.by_3, c.by_4, c.currency as unit, c.cost as amount, c.failed as gave_up, c.attempt_count as n_attempts,
        c.latency as whole, t.n_tries, t.seconds, t.asked_wait, t.limited, t.broken, t.silent,
        case
            when t.last_us is null then t.seconds
            when coalesce(t.seconds, 0) * 1000000 > cast(t.last_us - c.at_us as double precision) then t.seconds
            else cast(t.last_us - c.at_us as double precision) / 1000000
        end as failing
    from calls as c
    left join tries as t on c.trace_id = t.trace_id and c.span_id = t.span_id and c.started_at = t.call_started_at
    where c.attempt_count > 1
),
timed as (
    select
        *,
        case
            when gave_up = 1 and whole is not null then whole
            when asked_wait is null or whole is null then failing
            when asked_wait > whole - failing then whole
            else failing + asked_wait
        end as lost,
        -- a call that gave up has all its waits in its time, if each of its attempts is known; another's last must be asked for
        case when gave_up = 1 and whole is not null and n_tries >= n_attempts then 1
             when gave_up = 0 and asked_wait is not null then 1
             else 0 end as waits_known
    from begun
),
parts as (
    select
        by_1, by_2, by_3, by_4, unit,
        count(*) as n, sum(n_attempts) as tried, sum(n_attempts - 1) as extra, sum(lost) as n_lost,
        sum(case when gave_up = 1 and n_tries < n_attempts then failing - seconds
                 when lost > seconds then lost - seconds end) as waited,
        sum(1 - waits_known) as n_unsaid,
        sum(limited) as n_limited, sum(broken) as n_broken, sum(silent) as n_silent,
        sum(1 - gave_up) as n_recovered, sum(case when gave_up = 1 then amount end) as wasted
    from timed
    group by by_1, by_2, by_3, by_4, unit
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
)
select
    by_1, by_2, by_3, by_4,
    sum(n) as retried_calls,
    sum(tried) as attempts,
    sum(extra) as retries,
    sum(n_recovered) as recovered,
    sum(n_limited) as rate_limited,
    sum(n_broken) as server_errors,
    sum(n_silent) as no_reply,
    sum(n_lost) as seconds_wasted,
    sum(waited) as seconds_waited,
    sum(n_unsaid) as waits_unknown,
    sum(wasted) as cost,
    home as currency,
    sum(extra) as cost_unknown
from placed
group by by_1, by_2, by_3, by_4, home
order by sum(extra) desc, by_1, by_2, by_3, by_4, home
