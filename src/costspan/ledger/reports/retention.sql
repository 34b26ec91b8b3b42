-- What is held, and how much of it is about persons. Ages are in days, at the time of asking.
with persons as (
    select
        by_1, by_2, by_3, by_4, user_id as person,
        count(*) as n, min(started_at) as earliest, max(started_at) as latest, min(at_us) as earliest_us, max(at_us) as latest_us,
        count(session_id) as n_session, count(address) as n_address, count(user_agent) as n_agent,
        count(error_message) as n_message, count(labels) as n_labels
    from calls
    group by by_1, by_2, by_3, by_4, user_id
)
select
    by_1, by_2, by_3, by_4,
    sum(n) as calls,
    min(earliest) as first_call,
    max(latest) as last_call,
    cast($now_us - min(earliest_us) as double precision) / 86400000000 as oldest_days,
    cast($now_us - max(latest_us) as double precision) / 86400000000 as newest_days,
    count(person) as users,
    sum(case when person is null then 0 else n end) as with_user,
    sum(n_session) as with_session,
    sum(n_address) as with_address,
    sum(n_agent) as with_agent,
    sum(n_message) as with_message,
    sum(n_labels) as with_labels
from persons
group by by_1, by_2, by_3, by_4
order by
    case $time_group when 1 then by_1 when 2 then by_2 when 3 then by_3 when 4 then by_4 end,
    sum(n) desc, by_1, by_2, by_3, by_4
