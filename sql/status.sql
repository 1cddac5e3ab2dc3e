-- What each status of a SkyPilot managed job means: the only place that says it.
-- A table, not a view: the statuses are the same in every experiment.
-- A status that is not listed (SkyPilot adds some between releases) is kept as it came: not terminal,
-- its machine is taken to cost money, it counts as running, and it raises an alarm.
create or replace table status as
select
    known.status,
    known.state,
    known.step,
    known.is_terminal,
    known.is_failed,
    known.is_billed,
    known.is_unstarted
from (
    values
    ('PENDING', 'pending', 'waiting', false, false, false, false),
    ('SUBMITTED', 'pending', 'waiting', false, false, false, false),
    ('STARTING', 'pending', 'starting', false, false, true, false),
    ('RUNNING', 'running', 'running', false, false, true, false),
    ('RECOVERING', 'running', 'running', false, false, true, false),
    ('WINDING_DOWN', 'running', 'running', false, false, true, false),
    ('CANCELLING', 'running', 'running', false, false, true, false),
    ('SUCCEEDED', 'succeeded', 'ended', true, false, false, false),
    ('CANCELLED', 'cancelled', 'ended', true, false, false, true),
    ('FAILED', 'failed', 'ended', true, true, false, false),
    ('FAILED_SETUP', 'failed', 'failed_setup', true, true, false, false),
    ('FAILED_PRECHECKS', 'failed', 'ended', true, true, false, true),
    ('FAILED_NO_RESOURCE', 'failed', 'ended', true, true, false, true),
    ('FAILED_CONTROLLER', 'failed', 'ended', true, true, false, false)
) as known (status, state, step, is_terminal, is_failed, is_billed, is_unstarted);

comment on table status is 'What each status of SkyPilot 0.14 means; grain: status';
comment on column status.status is 'SkyPilot''s word [name]';
comment on column status.state is 'pending, running, succeeded, failed or cancelled [name]';
comment on column status.step is 'what alarms watch: waiting, starting, running, failed_setup, ended [name]';
comment on column status.is_terminal is 'no further change possible [bool]';
comment on column status.is_failed is 'ended without success; a cancelled job did not fail [bool]';
comment on column status.is_billed is 'a machine is there or on its way [bool]';
comment on column status.is_unstarted is 'a job that ends so and has no start_at never had a machine [bool]';
