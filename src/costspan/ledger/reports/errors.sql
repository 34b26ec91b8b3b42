with totals as (
    select by_1, by_2, by_3, by_4, count(*) as n_calls from calls group by by_1, by_2, by_3, by_4
),
failures as (
    select by_1, by_2, by_3, by_4, error_type, http_status, count(*) as n_errors, max(started_at) as latest
    from calls
    where failed = 1
    group by by_1, by_2, by_3, by_4, error_type, http_status
),
messages as (
    select by_1, by_2, by_3, by_4, error_type, http_status, error_message, count(*) as n_same
    from calls
    where failed = 1 and error_message is not null
    group by by_1, by_2, by_3, by_4, error_type, http_status, error_message
),
ranked as (
    select
        *,
        row_number() over (
            partition by by_1, by_2, by_3, by_4, error_type, http_status order by n_same desc, error_message
        ) as place
    from messages
)
select
    f.by_1, f.by_2, f.by_3, f.by_4,
    f.error_type as error,
    f.http_status as status,
    f.n_errors as errors,
    t.n_calls as calls,
    cast(f.n_errors as double precision) / nullif(cast(t.n_calls as double precision), 0) as error_rate,
    f.latest as last_seen,
    r.error_message as commonest_message,
    r.n_same as times
from failures as f
join totals as t
    on coalesce(f.by_1, '') = coalesce(t.by_1, '') and coalesce(f.by_2, '') = coalesce(t.by_2, '')
    and coalesce(f.by_3, '') = coalesce(t.by_3, '') and coalesce(f.by_4, '') = coalesce(t.by_4, '')
left join ranked as r
    on r.place = 1 and f.error_type = r.error_type and coalesce(f.http_status, -1) = coalesce(r.http_status, -1)
    and coalesce(f.by_1, '') = coalesce(r.by_1, '') and coalesce(f.by_2, '') = coalesce(r.by_2, '')
    and coalesce(f.by_3, '') = coalesce(r.by_3, '') and coalesce(f.by_4, '') = coalesce(r.by_4, '')
order by f.n_errors desc, f.by_1, f.by_2, f.by_3, f.by_4, f.error_type, f.http_status
