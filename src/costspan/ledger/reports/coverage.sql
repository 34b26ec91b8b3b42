-- A row for each doubt in a group. A call may be in several.
with unanswered as (
    select trace_id, span_id, call_started_at
    from attempts
    where http_status is null
    group by trace_id, span_id, call_started_at
),
-- attempts are few: only their calls are looked up by their ids
silent as (
    select
        c.by_1 as its_1, c.by_2 as its_2, c.by_3 as its_3, c.by_4 as its_4, count(*) as n_silent, max(c.started_at) as last_silent
    from calls as c
    join unanswered as u on c.trace_id = u.trace_id and c.span_id = u.span_id and c.started_at = u.call_started_at
    where c.attempt_count > 1
    group by c.by_1, c.by_2, c.by_3, c.by_4
),
judged as (
    select
        c.by_1, c.by_2, c.by_3, c.by_4, c.started_at as moment,
        c.unpriced as d1, c.unmetered as d2, c.partial as d3, c.unstated as d4,
        case when c.cost is not null and c.price_version is null and coalesce(c.cost_source, '') <> 'provider'
             then 1 else 0 end as d6,
        case when c.cost is not null and c.total_tokens is null then 1 else 0 end as d7,
        case when c.model is null then 1 else 0 end as d8,
        case when c.team is null then 1 else 0 end as d9,
        case when c.cost_source = 'estimate' then 1 else 0 end as d10
    from calls as c
),
sums as (
    select
        by_1, by_2, by_3, by_4, count(*) as n,
        sum(d1) as n_1, max(case when d1 = 1 then moment end) as last_1,
        sum(d2) as n_2, max(case when d2 = 1 then moment end) as last_2,
        sum(d3) as n_3, max(case when d3 = 1 then moment end) as last_3,
        sum(d4) as n_4, max(case when d4 = 1 then moment end) as last_4,
        sum(d6) as n_6, max(case when d6 = 1 then moment end) as last_6,
        sum(d7) as n_7, max(case when d7 = 1 then moment end) as last_7,
        sum(d8) as n_8, max(case when d8 = 1 then moment end) as last_8,
        sum(d9) as n_9, max(case when d9 = 1 then moment end) as last_9,
        sum(d10) as n_10, max(case when d10 = 1 then moment end) as last_10
    from judged
    group by by_1, by_2, by_3, by_4
),
kinds as (
    select 1 as kind union all select 2 union all select 3 union all select 4 union all select 5 union all select 6
    union all select 7 union all select 8 union all select 9 union all select 10
),
split as (
    select
        s.by_1, s.by_2, s.by_3, s.by_4, s.n as of_n, k.kind,
        case k.kind when 1 then s.n_1 when 2 then s.n_2 when 3 then s.n_3 when 4 then s.n_4 when 5 then coalesce(x.n_silent, 0)
             when 6 then s.n_6 when 7 then s.n_7 when 8 then s.n_8 when 9 then s.n_9 else s.n_10 end as n_found,
        case k.kind when 1 then s.last_1 when 2 then s.last_2 when 3 then s.last_3 when 4 then s.last_4 when 5 then x.last_silent
             when 6 then s.last_6 when 7 then s.last_7 when 8 then s.last_8 when 9 then s.last_9 else s.last_10 end as latest
    from sums as s
    left join silent as x
        on coalesce(s.by_1, '') = coalesce(x.its_1, '') and coalesce(s.by_2, '') = coalesce(x.its_2, '')
        and coalesce(s.by_3, '') = coalesce(x.its_3, '') and coalesce(s.by_4, '') = coalesce(x.its_4, '')
    cross join kinds as k
)
select
    by_1, by_2, by_3, by_4,
    case kind when 1 then 'unpriced' when 2 then 'unmetered' when 3 then 'partial' when 4 then 'unstated'
         when 5 then 'attempt without reply' when 6 then 'cost of another source' when 7 then 'cost without usage'
         when 8 then 'no model' when 9 then 'no team' else 'estimated usage' end as doubt,
    n_found as calls,
    of_n as of_calls,
    cast(n_found as double precision) / nullif(cast(of_n as double precision), 0) as part,
    latest as last_seen
from split
where n_found > 0
order by kind, n_found desc, by_1, by_2, by_3, by_4
