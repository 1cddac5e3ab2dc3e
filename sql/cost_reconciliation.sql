-- The cost of the ended jobs in SkyPilot's own cost report next to fmon's estimate: sums of view cycle_cost.
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
'SkyPilot''s own costs next to fmon''s estimates; no row if SkyPilot had none; grain: experiment_id';
comment on column cost_reconciliation.experiment_id is 'the experiment [id]';
comment on column cost_reconciliation.job_count is 'jobs seen [count]';
comment on column cost_reconciliation.reported_count is
'jobs with a cost in SkyPilot''s cost report [count]';
comment on column cost_reconciliation.compared_count is
'reported jobs that fmon has an estimate for [count]';
comment on column cost_reconciliation.reported_usd is 'their cost in SkyPilot''s cost report [USD]';
comment on column cost_reconciliation.difference_usd is
'fmon''s estimate minus SkyPilot''s cost, over the compared jobs; null = there are none [USD]';
comment on column cost_reconciliation.reported_at is 'when SkyPilot was last queried [UTC]';
