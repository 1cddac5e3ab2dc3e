-- What SkyPilot's own cost report says of the ended jobs, next to what fmon has: view cycle_cost added up.
create or replace view cost_reconciliation as
select
    cycle_cost.experiment_id,
    cast(sum(cycle_cost.job_count) as bigint) as job_count,
    cast(sum(cycle_cost.reported_count) as bigint) as reported_count,
    cast(sum(cycle_cost.compared_count) as bigint) as compared_count,
    cast(sum(cycle_cost.reported_usd) as decimal(18, 4)) as reported_usd,
    cast(sum(cycle_cost.difference_usd) as decimal(18, 4)) as difference_usd,
    max(cycle_cost.reported_at) as reported_at
from cycle_cost
group by cycle_cost.experiment_id
having sum(cycle_cost.reported_count) > 0;

comment on view cost_reconciliation is
'SkyPilot''s own costs beside those of fmon; no row where SkyPilot had none; grain: experiment_id';
comment on column cost_reconciliation.experiment_id is 'the experiment [id]';
comment on column cost_reconciliation.job_count is 'jobs seen [count]';
comment on column cost_reconciliation.reported_count is
'of them those for which SkyPilot''s cost report had a cost [count]';
comment on column cost_reconciliation.compared_count is 'of these those whose cost fmon knows too [count]';
comment on column cost_reconciliation.reported_usd is 'what they cost by SkyPilot''s report [USD]';
comment on column cost_reconciliation.difference_usd is
'cost as fmon has it minus SkyPilot''s own, over the jobs compared; null = there are none [USD]';
comment on column cost_reconciliation.reported_at is 'when SkyPilot was asked last [UTC]';
