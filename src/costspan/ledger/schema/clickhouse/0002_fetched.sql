-- The key of a fetched response, empty for all other calls: so reports need not read the ids of every call to find the few that
-- say a usage again.
alter table costspan_calls add column if not exists fetched String materialized
    if(operation = 'fetch_response', concat(trace_id, span_id), '');
alter table costspan_calls materialize column fetched;
