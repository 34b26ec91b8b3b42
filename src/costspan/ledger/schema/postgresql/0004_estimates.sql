-- How many groups a report has: without it PostgreSQL takes days for as many as there are calls, and sorts all calls to group them.
create statistics calls_days on (cast(started_at as date)) from calls;
create statistics calls_dates on (cast(cast(started_at as date) as text)) from calls;
create statistics calls_hours on (to_char(started_at, 'YYYY-MM-DD HH24:00') collate "C") from calls;
create statistics calls_months on (to_char(started_at, 'YYYY-MM') collate "C") from calls;
create statistics calls_weekdays on (to_char(started_at, 'FMDay') collate "C") from calls;
create statistics calls_models on (coalesce(request_model, response_model)) from calls;
create statistics calls_keys on (coalesce(key_name, api_key)) from calls;
create statistics calls_who (ndistinct) on team, project, user_id, service, request_model, provider from calls;
create statistics calls_priced (ndistinct) on provider, request_model, response_model, response_tier, operation, currency,
    (cast(started_at as date)) from calls;

-- The percentiles of one group, whose numbers were gathered without sorting all calls by group.
create function spread_of(numbers double precision[]) returns double precision[]
    language sql immutable parallel safe
    return (select percentile_cont(array[0.5, 0.95, 0.99]) within group (order by n) from unnest(numbers) as n);
