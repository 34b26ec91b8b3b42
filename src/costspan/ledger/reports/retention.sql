-- What is held, and how much of it is about persons. Ages are in days, at the time of asking.
select
    by_1, by_2, by_3, by_4,
    count(*) as calls,
    min(started_at) as first_call,
    max(started_at) as last_call,
    cast($now_us - min(at_us) as double precision) / 86400000000 as oldest_days,
    cast($now_us - max(at_us) as double precision) / 86400000000 as newest_days,
    count(distinct user_id) as users,
    count(user_id) as with_user,
    count(session_id) as with_session,
    count(address) as with_address,
    count(user_agent) as with_agent,
    count(error_message) as with_message,
    count(labels) as with_labels
from calls
group by by_1, by_2, by_3, by_4
order by
    case $time_group when 1 then by_1 when 2 then by_2 when 3 then by_3 when 4 then by_4 end,
    count(*) desc, by_1, by_2, by_3, by_4
