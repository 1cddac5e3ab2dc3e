-- Every root cause by every level, including levels where it did not occur. A condition counts once, with its
-- newest result (view attempt_result), so levels are comparable even if one was relaunched more often.
create or replace view failure_cluster as
with total as (
    select
        attempt_result.experiment_id,
        count(*) as all_count
    from attempt_result
    where attempt_result.is_newest
    group by attempt_result.experiment_id
),

cause as (
    select
        attempt_result.experiment_id,
        attempt_result.root_cause_id,
        attempt_result.category,
        count(*) as cause_count
    from attempt_result
    where attempt_result.is_newest and attempt_result.is_failed
    group by attempt_result.experiment_id, attempt_result.root_cause_id, attempt_result.category
),

levelled as (
    select
        attempt_result_level.experiment_id,
        attempt_result_level.root_cause_id,
        attempt_result_level.factor,
        attempt_result_level.level,
        count(*) as condition_count
    from attempt_result_level
    group by
        attempt_result_level.experiment_id,
        attempt_result_level.root_cause_id,
        attempt_result_level.factor,
        attempt_result_level.level
),

sized as (
    select
        levelled.experiment_id,
        levelled.factor,
        levelled.level,
        cast(sum(levelled.condition_count) as bigint) as total_count
    from levelled
    group by levelled.experiment_id, levelled.factor, levelled.level
),

crossed as (
    select
        cause.experiment_id,
        cause.root_cause_id,
        cause.category,
        sized.factor,
        sized.level,
        coalesce(levelled.condition_count, 0) as failed_count,
        sized.total_count,
        cause.cause_count,
        total.all_count
    from cause
    inner join total on cause.experiment_id = total.experiment_id
    inner join sized on cause.experiment_id = sized.experiment_id
    left join levelled
        on
            cause.experiment_id = levelled.experiment_id
            and cause.root_cause_id = levelled.root_cause_id
            and sized.factor = levelled.factor
            and sized.level = levelled.level
)

select
    crossed.experiment_id,
    crossed.root_cause_id,
    crossed.category,
    crossed.factor,
    crossed.level,
    crossed.failed_count,
    crossed.total_count,
    crossed.failed_count / crossed.total_count as failure_ratio,
    crossed.failed_count * crossed.all_count / (crossed.total_count * crossed.cause_count) as lift,
    (
        select chance.p_value
        from
            fisher(
                crossed.failed_count, crossed.total_count, crossed.cause_count, crossed.all_count
            ) as chance
    ) as p_value
from crossed;

comment on view failure_cluster is
'A root cause at a factor level; grain: experiment_id, root_cause_id, factor, level';
comment on column failure_cluster.experiment_id is 'the experiment [id]';
comment on column failure_cluster.root_cause_id is 'the root cause [id]';
comment on column failure_cluster.category is 'its category [name]';
comment on column failure_cluster.factor is
'a factor with two or more levels; region and zone count as factors [name]';
comment on column failure_cluster.level is 'the level as text [text]';
comment on column failure_cluster.failed_count is
'conditions of the level that failed with this cause in their newest result [count]';
comment on column failure_cluster.total_count is 'conditions of the level that have a result [count]';
comment on column failure_cluster.failure_ratio is 'failed_count / total_count [ratio]';
comment on column failure_cluster.lift is
'failure_ratio divided by that of all conditions; 1 = no difference [ratio]';
comment on column failure_cluster.p_value is
'probability of so many failures if the level had no effect, see fisher [ratio]';
