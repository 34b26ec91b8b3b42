-- A row for each finding in a group. A call may be in several. Only calls that answer with text can be short, long or empty.
-- Calls are counted by what they have in common first: so each condition is looked at once a call.
with judged as (
    select
        by_1, by_2, by_3, by_4, currency as unit, cost as amount,
        case when unpriced + unmetered + partial + unstated > 0 then true else false end as doubtful,
        case when failed = 0 and ended is null and operation in ('chat', 'text_completion', 'generate_content')
             then 1 else 0 end as answered,
        case when cost > 0 or (cost is null and failed = 0 and input_tokens > 0) then 1 else 0 end as billed,
        input_tokens as tokens_in, output_tokens as tokens_out,
        coalesce(output_tokens, 0) - coalesce(reasoning_tokens, 0) as shown,
        total_tokens as tokens, context_window as room,
        case when finish_reasons is null or finish_reasons in ('stop', 'tool_calls', 'end_turn', 'tool_use', 'STOP') then 0
             else 1 end as odd,
        lower(finish_reasons) as reasons
    from calls
),
found as (
    select
        by_1, by_2, by_3, by_4, unit, amount, doubtful,
        case when answered = 1 and tokens_out * 10 < tokens_in then true else false end as low,
        case when answered = 1 and tokens_out > tokens_in * 5 then true else false end as high,
        case when odd = 0 then false
             when reasons like '%length%' or reasons like '%max_tokens%' or reasons like '%max_output%'
             or reasons like '%context_window%' then true else false end as cut,
        case when answered = 1 and billed = 1 and shown <= 0 then true else false end as hollow,
        case when odd = 0 then false
             when billed = 1 and (reasons like '%content_filter%' or reasons like '%refus%' or reasons like '%safety%'
             or reasons like '%guardrail%' or reasons like '%blocklist%' or reasons like '%prohibited%'
             or reasons like '%recitation%') then true else false end as refused,
        case when room > 0 and tokens * 5 > room * 4 then true else false end as crowded
    from judged
),
sorts as (
    select
        by_1, by_2, by_3, by_4, unit, doubtful, low, high, cut, hollow, refused, crowded,
        count(*) as n_alike, sum(amount) as alike_amount
    from found
    group by by_1, by_2, by_3, by_4, unit, doubtful, low, high, cut, hollow, refused, crowded
),
parts as (
    select
        by_1, by_2, by_3, by_4, unit, sum(n_alike) as n,
        sum(case when low then n_alike else 0 end) as n_1, sum(case when low then alike_amount end) as amount_1,
        sum(case when low and doubtful then n_alike else 0 end) as unknown_1,
        sum(case when high then n_alike else 0 end) as n_2, sum(case when high then alike_amount end) as amount_2,
        sum(case when high and doubtful then n_alike else 0 end) as unknown_2,
        sum(case when cut then n_alike else 0 end) as n_3, sum(case when cut then alike_amount end) as amount_3,
        sum(case when cut and doubtful then n_alike else 0 end) as unknown_3,
        sum(case when hollow then n_alike else 0 end) as n_4, sum(case when hollow then alike_amount end) as amount_4,
        sum(case when hollow and doubtful then n_alike else 0 end) as unknown_4,
        sum(case when refused then n_alike else 0 end) as n_5, sum(case when refused then alike_amount end) as amount_5,
        sum(case when refused and doubtful then n_alike else 0 end) as unknown_5,
        sum(case when crowded then n_alike else 0 end) as n_6, sum(case when crowded then alike_amount end) as amount_6,
        sum(case when crowded and doubtful then n_alike else 0 end) as unknown_6
    from sorts
    group by by_1, by_2, by_3, by_4, unit
),
placed as (
    select *, coalesce(unit, min(unit) over (partition by by_1, by_2, by_3, by_4)) as home from parts
),
kinds as (
    select 1 as kind union all select 2 union all select 3 union all select 4 union all select 5 union all select 6
),
split as (
    select
        p.by_1, p.by_2, p.by_3, p.by_4, p.home, p.n as of_n, k.kind,
        case k.kind when 1 then p.n_1 when 2 then p.n_2 when 3 then p.n_3 when 4 then p.n_4
             when 5 then p.n_5 else p.n_6 end as n_found,
        case k.kind when 1 then p.amount_1 when 2 then p.amount_2 when 3 then p.amount_3 when 4 then p.amount_4
             when 5 then p.amount_5 else p.amount_6 end as spent,
        case k.kind when 1 then p.unknown_1 when 2 then p.unknown_2 when 3 then p.unknown_3 when 4 then p.unknown_4
             when 5 then p.unknown_5 else p.unknown_6 end as n_unknown
    from placed as p
    cross join kinds as k
),
merged as (
    select
        by_1, by_2, by_3, by_4, home, kind,
        sum(n_found) as found_calls, sum(of_n) as all_calls_of_it, sum(spent) as found_cost, sum(n_unknown) as unknown_calls
    from split
    group by by_1, by_2, by_3, by_4, home, kind
)
select
    by_1, by_2, by_3, by_4,
    case kind when 1 then 'output < 0.1 of input' when 2 then 'output > 5 x input' when 3 then 'cut short by a limit'
         when 4 then 'billed, but empty' when 5 then 'billed, but refused' else 'context over 0.8 full' end as finding,
    found_calls as calls,
    all_calls_of_it as of_calls,
    cast(found_calls as double precision) / nullif(cast(all_calls_of_it as double precision), 0) as part,
    found_cost as cost,
    home as currency,
    unknown_calls as cost_unknown
from merged
where found_calls > 0
order by found_cost desc nulls last, found_calls desc, by_1, by_2, by_3, by_4, home, kind
