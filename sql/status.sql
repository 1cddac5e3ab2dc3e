-- The meaning of each status of a SkyPilot managed job. The rows are in fmon/sky/status.py, because a poll
-- needs them too and has no time to load DuckDB. A table, not a view, because they are the same in every
-- experiment.
create or replace table status as
select
    known.status,
    known.state,
    known.step,
    known.phase,
    known.is_terminal,
    known.is_failed,
    known.is_billed,
    known.is_unstarted,
    known.ends_as
from known_status as known;

comment on table status is 'The meaning of each status of SkyPilot 0.14; grain: status';
comment on column status.status is 'SkyPilot''s status [name]';
comment on column status.state is 'pending, running, succeeded, failed or cancelled [name]';
comment on column status.step is
'the step that alarms watch: waiting, starting, running, failed_setup, ended [name]';
comment on column status.phase is
'launch, run or recovery; null = ended, waiting, or on the way to an end [name]';
comment on column status.is_terminal is 'no further change possible [bool]';
comment on column status.is_failed is 'ended without success; a cancelled job did not fail [bool]';
comment on column status.is_billed is 'the job has or is getting a machine [bool]';
comment on column status.is_unstarted is
'a job that ends with this status and has no start_at never had a machine [bool]';
comment on column status.ends_as is
'the terminal status that always follows; null = it varies [name]';
