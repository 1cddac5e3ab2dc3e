-- Problems that a person should check now (cleared_at is null) or should have checked in the past: an
-- experiment can waste money without a single failure. Macro raised_alarm has the search.
create or replace view alarm as
select
    raised_alarm.experiment_id,
    raised_alarm.condition_id,
    raised_alarm.job_id,
    raised_alarm.job_key,
    raised_alarm.task_id,
    raised_alarm.raised_poll_id,
    raised_alarm.kind,
    raised_alarm.severity,
    raised_alarm.message,
    raised_alarm.cycle,
    raised_alarm.unit,
    raised_alarm.value,
    raised_alarm.threshold,
    raised_alarm.started_at,
    raised_alarm.raised_at,
    raised_alarm.cleared_at
from raised_alarm(false) as raised_alarm;

comment on view alarm is
'A problem to check, now or before; grain: experiment_id, kind, job_key, task_id, raised_poll_id';
comment on column alarm.experiment_id is 'the experiment [id]';
comment on column alarm.condition_id is 'the condition [id]';
comment on column alarm.job_id is 'its managed job [id]';
comment on column alarm.job_key is 'key of the job: its id, unless SkyPilot reused that id [id]';
comment on column alarm.task_id is 'task within the job [id]';
comment on column alarm.raised_poll_id is 'the poll that raised it [id]';
comment on column alarm.kind is
'failed_setup, pending_too_long, starting_too_long, flapping, overrun, lost, duplicate, reopened, status_changed, wrong_variables or unknown_status [name]'; -- noqa: LT05
comment on column alarm.severity is 'critical or warning [name]';
comment on column alarm.message is 'the alarm as a sentence [text]';
comment on column alarm.cycle is '0 = first launch, 1 and 2 = relaunches [count]';
comment on column alarm.unit is 'unit of value and threshold [name]';
comment on column alarm.value is 'how long the state has lasted, up to cleared_at or now [own]';
comment on column alarm.threshold is 'how long it may last; 0 = any duration raises an alarm [own]';
comment on column alarm.started_at is
'when the state began: SkyPilot''s time, otherwise the first poll that saw it [UTC]';
comment on column alarm.raised_at is
'first successful poll at or after started_at + threshold that still saw it [UTC]';
comment on column alarm.cleared_at is 'poll that showed its end; null while it lasts [UTC]';
