-- What each status of a SkyPilot managed job means. The rows stand in fmon/sky/status.py: a poll needs them
-- too, and has no time to load DuckDB. A table, not a view: they are the same in every experiment.
create or replace table status as
select
    known.status,
    known.state,
    known.step,
    known.is_terminal,
    known.is_failed,
    known.is_billed,
    known.is_unstarted
from known_status as known;

comment on table status is 'What each status of SkyPilot 0.14 means; grain: status';
comment on column status.status is 'SkyPilot''s word [name]';
comment on column status.state is 'pending, running, succeeded, failed or cancelled [name]';
comment on column status.step is 'what alarms watch: waiting, starting, running, failed_setup, ended [name]';
comment on column status.is_terminal is 'no further change possible [bool]';
comment on column status.is_failed is 'ended without success; a cancelled job did not fail [bool]';
comment on column status.is_billed is 'a machine is there or on its way [bool]';
comment on column status.is_unstarted is 'a job that ends so and has no start_at never had a machine [bool]';
