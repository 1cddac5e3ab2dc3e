-- Every poll of the queue, successful or not. poll_id defines the order, because clocks can jump backwards.
create or replace view poll as
select
    heartbeat.experiment_id,
    heartbeat.poll_id,
    heartbeat.source,
    heartbeat.error_type,
    heartbeat.error,
    heartbeat.is_ok,
    heartbeat.job_count,
    heartbeat.seen_count,
    heartbeat.changed_count,
    heartbeat.latency_s,
    (epoch_us(heartbeat.polled_at) - epoch_us(lag(heartbeat.polled_at) over in_order)) / 1e6 as gap_s,
    heartbeat.polled_at
from heartbeat
window in_order as (partition by heartbeat.experiment_id order by heartbeat.poll_id);

comment on view poll is 'One poll of the queue; grain: experiment_id, poll_id';
comment on column poll.experiment_id is 'the experiment [id]';
comment on column poll.poll_id is 'order of the poll within the experiment [id]';
comment on column poll.source is 'where the queue was read from [name]';
comment on column poll.error_type is 'class of the error if the queue did not answer [name]';
comment on column poll.error is 'its message [text]';
comment on column poll.is_ok is 'the queue answered [bool]';
comment on column poll.job_count is 'records in the entire answer, of all users and experiments [count]';
comment on column poll.seen_count is 'records of this experiment in the answer [count]';
comment on column poll.changed_count is 'snapshot rows this poll wrote [count]';
comment on column poll.latency_s is 'time that the queue took to answer [s]';
comment on column poll.gap_s is 'time since the previous poll; below 0: the clock jumped backwards [s]';
comment on column poll.polled_at is 'when the queue was polled [UTC]';
