-- How often each kind of alarm was raised, and how many are still active.
create or replace view alarm_count as
select
    alarm.experiment_id,
    alarm.kind,
    -- The same for each kind, except for reopened.
    min(alarm.severity) as severity,
    count(*) as raised_count,
    count(*) filter (where alarm.cleared_at is null) as open_count
from alarm
group by alarm.experiment_id, alarm.kind;

comment on view alarm_count is 'The alarms of a kind; grain: experiment_id, kind';
comment on column alarm_count.experiment_id is 'the experiment [id]';
comment on column alarm_count.kind is 'kind of alarm, see view alarm [name]';
comment on column alarm_count.severity is 'critical if one of them is, otherwise warning [name]';
comment on column alarm_count.raised_count is 'alarms raised [count]';
comment on column alarm_count.open_count is 'alarms that are still active [count]';
