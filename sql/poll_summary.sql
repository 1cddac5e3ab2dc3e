-- The polls of an experiment in one row: how many, and how far apart.
create or replace view poll_summary as
select
    experiment.experiment_id,
    count(poll.poll_id) as poll_count,
    count(*) filter (where not poll.is_ok) as failed_count,
    median(poll.gap_s) as median_gap_s,
    max(poll.gap_s) as longest_gap_s,
    min(poll.polled_at) as first_polled_at,
    max(poll.polled_at) as last_polled_at
from experiment
left join poll on experiment.experiment_id = poll.experiment_id
group by experiment.experiment_id;

comment on view poll_summary is 'The polls of an experiment in one row; grain: experiment_id';
comment on column poll_summary.experiment_id is 'the experiment [id]';
comment on column poll_summary.poll_count is 'polls, including failed ones [count]';
comment on column poll_summary.failed_count is 'polls that the queue did not answer [count]';
comment on column poll_summary.median_gap_s is
'median time between two polls; null = fewer than two [s]';
comment on column poll_summary.longest_gap_s is
'longest time between two polls; null = fewer than two [s]';
comment on column poll_summary.first_polled_at is 'earliest poll; null = none [UTC]';
comment on column poll_summary.last_polled_at is 'latest poll; null = none [UTC]';
