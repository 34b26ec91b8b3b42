-- When the first call was.
select min(started_at) as first_call from calls
