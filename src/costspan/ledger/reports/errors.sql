-- A row for each type and status in a group, the group with most failures first. A model's three commonest messages are among
-- the three of each type.
with totals as (
    select by_1, by_2, by_3, by_4, count(*) as n_calls, sum(failed) as n_failed from calls group by by_1, by_2, by_3, by_4
),
messages as (
    select
        by_1, by_2, by_3, by_4, error_type, http_status, error_message, count(*) as n_same, max(started_at) as last_same
    from calls
    where error_type is not null
    group by by_1, by_2, by_3, by_4, error_type, http_status, error_message
),
failures as (
    select by_1, by_2, by_3, by_4, error_type, http_status, sum(n_same) as n_errors, max(last_same) as latest
    from messages
    group by by_1, by_2, by_3, by_4, error_type, http_status
),
ranked as (
    select
        *,
        row_number() over (
            partition by by_1, by_2, by_3, by_4, error_type, http_status order by n_same desc, error_message
        ) as place
    from messages
    where error_message is not null
),
said as (
    select
        by_1, by_2, by_3, by_4, error_type, http_status,
        max(case when place = 1 then error_message end) as message_1, sum(case when place = 1 then n_same end) as times_1,
        max(case when place = 2 then error_message end) as message_2, sum(case when place = 2 then n_same end) as times_2,
        max(case when place = 3 then error_message end) as message_3, sum(case when place = 3 then n_same end) as times_3
    from ranked
    where place <= 3
    group by by_1, by_2, by_3, by_4, error_type, http_status
)
select
    f.by_1, f.by_2, f.by_3, f.by_4,
    f.error_type as error,
    f.http_status as status,
    f.n_errors as errors,
    t.n_calls as calls,
    cast(f.n_errors as double precision) / nullif(cast(t.n_calls as double precision), 0) as error_rate,
    cast(t.n_calls - t.n_failed as double precision) / nullif(cast(t.n_calls as double precision), 0) as success_rate,
    f.latest as last_seen,
    s.message_1 as commonest_message,
    s.times_1 as times,
    s.message_2 as second_message,
    s.times_2 as second_times,
    s.message_3 as third_message,
    s.times_3 as third_times
from failures as f
join totals as t
    on coalesce(f.by_1, '') = coalesce(t.by_1, '') and coalesce(f.by_2, '') = coalesce(t.by_2, '')
    and coalesce(f.by_3, '') = coalesce(t.by_3, '') and coalesce(f.by_4, '') = coalesce(t.by_4, '')
left join said as s
    on f.error_type = s.error_type and coalesce(f.http_status, -1) = coalesce(s.http_status, -1)
    and coalesce(f.by_1, '') = coalesce(s.by_1, '') and coalesce(f.by_2, '') = coalesce(s.by_2, '')
    and coalesce(f.by_3, '') = coalesce(s.by_3, '') and coalesce(f.by_4, '') = coalesce(s.by_4, '')
order by t.n_failed desc, f.by_1, f.by_2, f.by_3, f.by_4, f.n_errors desc, f.error_type, f.http_status
