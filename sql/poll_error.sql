-- The errors of failed polls, and how often each occurred.
create or replace view poll_error as
select
    poll.experiment_id,
    coalesce(poll.error_type, '') as error_type,
    coalesce(poll.error, '') as error,
    count(*) as poll_count,
    min(poll.polled_at) as first_polled_at,
    max(poll.polled_at) as last_polled_at
from poll
where not poll.is_ok
group by poll.experiment_id, poll.error_type, poll.error;

comment on view poll_error is
'Polls that failed with the same error; grain: experiment_id, error_type, error';
comment on column poll_error.experiment_id is 'the experiment [id]';
comment on column poll_error.error_type is 'class of the error; empty = unknown [name]';
comment on column poll_error.error is 'its message; empty = unknown [text]';
comment on column poll_error.poll_count is 'polls that failed with it [count]';
comment on column poll_error.first_polled_at is 'the first of them [UTC]';
comment on column poll_error.last_polled_at is 'the last of them [UTC]';
