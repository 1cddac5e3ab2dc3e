-- The newest poll of each experiment, successful or not. Read directly from the heartbeats, because view poll
-- compares all polls of a year with the one before.
create or replace view newest_poll as
with newest as (
    select
        heartbeat.experiment_id,
        max(heartbeat.poll_id) as poll_id
    from heartbeat
    group by heartbeat.experiment_id
)

select
    newest.experiment_id,
    newest.poll_id,
    heartbeat.error_type,
    heartbeat.error,
    heartbeat.is_ok,
    heartbeat.job_count,
    heartbeat.polled_at
from newest
inner join heartbeat
    on newest.experiment_id = heartbeat.experiment_id and newest.poll_id = heartbeat.poll_id;

comment on view newest_poll is
'The newest poll of an experiment; no row if never polled; grain: experiment_id';
comment on column newest_poll.experiment_id is 'the experiment [id]';
comment on column newest_poll.poll_id is 'order of the poll within the experiment [id]';
comment on column newest_poll.error_type is 'class of the error if the queue did not answer [name]';
comment on column newest_poll.error is 'its message [text]';
comment on column newest_poll.is_ok is 'the queue answered [bool]';
comment on column newest_poll.job_count is
'jobs in the answer, of all users and experiments; null = the queue did not answer [count]';
comment on column newest_poll.polled_at is 'when the queue was polled [UTC]';
