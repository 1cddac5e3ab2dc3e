-- The rules F1 to F5 and five quality criteria, each checked against the recorded actions, the attempts that
-- were open at that time, and the result of every failure.
create or replace view audit as
with criterion as (
    select
        known.criterion_number,
        known.criterion,
        known.rule,
        -- What the criterion checks.
        case
            when known.criterion_number = 1 then 'act'
            when known.criterion_number in (2, 3) then 'failure'
            when known.criterion_number in (4, 5, 6, 7) then 'relaunch'
            when known.criterion_number = 8 then 'ended_job'
            when known.criterion_number = 9 then 'job'
            else 'condition'
        end as subject,
        known.sentence
    from (
        values
        (1, 'F1 wait for terminal', 1, 'nobody diagnosed, fixed or relaunched while an attempt was open'),
        (2, 'F2 aggregate before fix', 2, 'every failed attempt has a root cause, diagnosed before any fix'),
        (3, 'failures aggregated', 2, 'one diagnosis of each cycle names the causes of all its failures'),
        (4, 'none dismissed', 2, 'no failed condition that could run again was left out of a relaunch'),
        (5, 'F3 rebuild before relaunch', 3, 'the entire chain was checked and intact before each relaunch'),
        (6, 'selective relaunch', 3, 'no condition that had succeeded ran again'),
        (7, 'F4 max two cycles', 4, 'no cycle exceeded the limit without authorization by a person'),
        (8, 'cost logged', 4, 'the cost of every ended job is known'),
        (9, 'F5 factorial manifest', 5, 'every attempt has exactly one job, which a poll has seen'),
        (10, 'all jobs tracked', 5, 'every condition has a job, and no lost job is open')
    ) as known (criterion_number, criterion, rule, sentence)
),

-- The actions of users and of fmon, with the cycle that they concern.
act as (
    select
        diagnosis.experiment_id,
        'diagnosed' as act,
        diagnosis.cycle,
        diagnosis.diagnosed_at as acted_at
    from diagnosis
    where not diagnosis.is_preliminary
    union all
    select
        fix_record.experiment_id,
        'fixed' as act,
        fix_record.cycle,
        fix_record.fixed_at as acted_at
    from fix_record
    union all
    select
        cycle_start.experiment_id,
        'relaunched' as act,
        cycle_start.cycle - 1 as cycle,
        cycle_start.started_at as acted_at
    from cycle_start
),

-- Every cycle after the first, including cycles launched without fmon.
later_cycle as (
    select
        cycles.experiment_id,
        cycles.cycle,
        min(cycles.started_at) as started_at
    from (
        select
            cycle_start.experiment_id,
            cycle_start.cycle,
            cycle_start.started_at
        from cycle_start
        union all
        select
            attempt_span.experiment_id,
            attempt_span.cycle,
            null as started_at
        from attempt_span
        where attempt_span.cycle > 0
    ) as cycles
    group by cycles.experiment_id, cycles.cycle
),

checked as (
    select
        later_cycle.experiment_id,
        later_cycle.cycle,
        arg_max(fix_check.is_ok, row(fix_check.checked_at, fix_check.event_position)) as is_ok
    from later_cycle
    inner join fix_check
        on
            later_cycle.experiment_id = fix_check.experiment_id
            and later_cycle.cycle - 1 = fix_check.cycle
            and later_cycle.started_at >= fix_check.checked_at
    group by later_cycle.experiment_id, later_cycle.cycle
),

-- The subjects that exist: a criterion without its subject did not happen, so it can't pass.
happened as (
    select distinct
        act.experiment_id,
        'act' as subject
    from act
    union all
    select distinct
        failure.experiment_id,
        'failure' as subject
    from failure
    union all
    select distinct
        later_cycle.experiment_id,
        'relaunch' as subject
    from later_cycle
    union all
    select distinct
        job.experiment_id,
        'ended_job' as subject
    from job
    where job.is_terminal
    union all
    select distinct
        attempt_span.experiment_id,
        'job' as subject
    from attempt_span
    union all
    select
        experiment.experiment_id,
        'condition' as subject
    from experiment
),

-- What was last recorded about each cause before the cycle after it started.
last_record as (
    select
        later_cycle.experiment_id,
        later_cycle.cycle,
        fix_record.root_cause_id,
        arg_max(
            {
                what: fix_record.what,
                person: coalesce(fix_record.person, 'unknown'),
                is_without_fix: fix_record.is_without_fix
            },
            row(fix_record.fixed_at, fix_record.event_position)
        ) as newest
    from later_cycle
    inner join fix_record
        on
            later_cycle.experiment_id = fix_record.experiment_id
            and later_cycle.cycle - 1 = fix_record.cycle
            and later_cycle.started_at >= fix_record.fixed_at
    group by later_cycle.experiment_id, later_cycle.cycle, fix_record.root_cause_id
),

unfixed as (
    select
        last_record.experiment_id,
        string_agg(
            format(
                '; {} was relaunched in cycle {} without a fix: {} ({})',
                last_record.root_cause_id,
                last_record.cycle,
                last_record.newest.what,
                last_record.newest.person
            ),
            ''
            order by last_record.cycle, last_record.root_cause_id
        ) as words
    from last_record
    where last_record.newest.is_without_fix
    group by last_record.experiment_id
),

violation as (
    -- 1 F1 wait for terminal: an action while an attempt of its cycle, or of an earlier one, was open
    select
        act.experiment_id,
        1 as criterion_number,
        act.act || ' in cycle ' || act.cycle || ' while job ' || attempt_span.job_id || ' was open' as what
    from act
    inner join attempt_span
        on
            act.experiment_id = attempt_span.experiment_id
            and act.cycle >= attempt_span.cycle
            and act.acted_at > attempt_span.started_at
    where attempt_span.ended_at is null or attempt_span.ended_at > act.acted_at

    union all

    -- 2 F2 aggregate before fix: a failure that nobody has examined
    select
        failure.experiment_id,
        2 as criterion_number,
        'job '
        || failure.job_id
        || ' ('
        || failure.condition_id
        || ') failed and was not examined' as what
    from failure
    where failure.root_cause_id = 'unknown/unexamined'

    union all

    -- 2 F2 aggregate before fix: an action on failures before a diagnosis of their cycle
    select
        act.experiment_id,
        2 as criterion_number,
        act.act || ' in cycle ' || act.cycle || ' without a diagnosis of that cycle' as what
    from act
    where
        exists (
            select 1
            from failure
            where
                act.experiment_id = failure.experiment_id
                and act.cycle = failure.cycle
                and act.acted_at >= failure.detected_at
        )
        and not exists (
            select 1
            from diagnosis
            where
                act.experiment_id = diagnosis.experiment_id
                and act.cycle = diagnosis.cycle
                and act.acted_at >= diagnosis.diagnosed_at
                and not diagnosis.is_preliminary
        )

    union all

    -- 3 failures aggregated: a cause that no full diagnosis of its cycle lists
    select distinct
        failure.experiment_id,
        3 as criterion_number,
        'no diagnosis of cycle ' || failure.cycle || ' names ' || failure.root_cause_id as what
    from failure
    where
        not exists (
            select 1
            from diagnosis
            where
                failure.experiment_id = diagnosis.experiment_id
                and failure.cycle = diagnosis.cycle
                and not diagnosis.is_preliminary
                and list_contains(diagnosis.root_cause_ids, failure.root_cause_id)
        )

    union all

    -- 4 none dismissed: a failure that a later cycle left out
    select
        relaunch_candidate.experiment_id,
        4 as criterion_number,
        relaunch_candidate.condition_id
        || ' failed in cycle '
        || relaunch_candidate.last_cycle
        || ' and has been left out since' as what
    from relaunch_candidate
    inner join experiment on relaunch_candidate.experiment_id = experiment.experiment_id
    where
        relaunch_candidate.reason = 'failed'
        and relaunch_candidate.remedy is distinct from 'unrecoverable'
        and not relaunch_candidate.is_in_progress
        and relaunch_candidate.last_cycle < experiment.current_cycle

    union all

    -- 5 F3 rebuild before relaunch: a cycle after no check, or after one that found the chain broken
    select
        later_cycle.experiment_id,
        5 as criterion_number,
        case
            when later_cycle.started_at is null
                then 'cycle ' || later_cycle.cycle || ' was not launched by fmon relaunch'
            when checked.is_ok is null then 'nothing was checked before cycle ' || later_cycle.cycle
            else 'the last check before cycle ' || later_cycle.cycle || ' found the chain broken'
        end as what
    from later_cycle
    left join checked
        on later_cycle.experiment_id = checked.experiment_id and later_cycle.cycle = checked.cycle
    where checked.is_ok is distinct from true

    union all

    -- 6 selective relaunch: a job of a condition that had succeeded
    select distinct
        later.experiment_id,
        6 as criterion_number,
        later.condition_id
        || ' succeeded in cycle '
        || attempt_span.cycle
        || ' and ran again in cycle '
        || later.cycle
            as what
    from attempt_span
    inner join attempt_span as later
        on
            attempt_span.experiment_id = later.experiment_id
            and attempt_span.condition_id = later.condition_id
            and attempt_span.cycle < later.cycle
    where attempt_span.is_succeeded

    union all

    -- 7 F4 max two cycles: a cycle beyond the limit that nobody authorized
    select
        later_cycle.experiment_id,
        7 as criterion_number,
        'nobody authorized cycle ' || later_cycle.cycle as what
    from later_cycle
    inner join experiment on later_cycle.experiment_id = experiment.experiment_id
    where
        later_cycle.cycle > experiment.max_relaunch_cycles
        and not exists (
            select 1
            from cycle_authorization
            where
                later_cycle.experiment_id = cycle_authorization.experiment_id
                and later_cycle.cycle = cycle_authorization.cycle
                and cycle_authorization.authorized_at <= later_cycle.started_at
        )

    union all

    -- 8 cost logged: an ended job without a cost
    select distinct
        job.experiment_id,
        8 as criterion_number,
        'the cost of job ' || job.job_id || ' is unknown' as what
    from job
    where job.is_terminal and job.cost_usd is null

    union all

    -- 9 F5 factorial manifest: a second job for an attempt
    select distinct
        job.experiment_id,
        9 as criterion_number,
        job.condition_id || ' also had job ' || job.job_id || ' in cycle ' || job.cycle as what
    from job
    where job.role = 'duplicate'

    union all

    -- 9 F5 factorial manifest: a job that no poll has shown and nobody closed
    select
        attempt_span.experiment_id,
        9 as criterion_number,
        'no poll has shown job ' || attempt_span.job_id || ' of ' || attempt_span.condition_id as what
    from attempt_span
    where not attempt_span.is_seen and attempt_span.closed_at is null

    union all

    -- 10 all jobs tracked: a condition without a job, or with a lost one that nobody closed
    select
        condition.experiment_id,
        10 as criterion_number,
        condition.condition_id || case
            when condition.state = 'missing' then ' was never launched'
            else ' is lost (job ' || condition.job_id || ')'
        end as what
    from condition
    where condition.state = 'missing' or (condition.state = 'lost' and not condition.is_terminal)
),

counted as (
    select
        violation.experiment_id,
        violation.criterion_number,
        count(*) as violation_count,
        list(violation.what order by violation.what) as whats
    from violation
    group by violation.experiment_id, violation.criterion_number
)

select
    experiment.experiment_id,
    criterion.criterion,
    case
        when counted.violation_count is not null
            then
                array_to_string(counted.whats[:5], '; ')
                || case
                    when counted.violation_count > 5 then ' and ' || (counted.violation_count - 5) || ' more'
                    else ''
                end
        when happened.subject is not null then criterion.sentence
        when criterion.subject = 'act' then 'nothing was diagnosed, fixed or relaunched'
        when criterion.subject = 'failure' then 'no attempt failed'
        when criterion.subject = 'relaunch' then 'no relaunch happened'
        when criterion.subject = 'ended_job' then 'no job has ended'
        else 'no job was launched'
    end
    || case
        when criterion.criterion_number <> 5 or happened.subject is null then ''
        else
            case
                when counted.violation_count is not null or bare_vm.person is null then ''
                else
                    '; on a bare VM, allowed at '
                    || bare_vm.step
                    || ' by '
                    || bare_vm.person
                    || ' at '
                    || strftime(bare_vm.allowed_at, '%Y-%m-%dT%H:%M:%SZ')
                    || ': no image to verify'
            end
            || coalesce(unfixed.words, '')
    end
    || case
        when criterion.criterion_number <> 5 or assumed_image.step is null then ''
        else
            '; the digest of the adopted jobs'' image was assumed at '
            || assumed_image.step
            || ' at '
            || strftime(assumed_image.assumed_at, '%Y-%m-%dT%H:%M:%SZ')
            || ': '
            || assumed_image.digest
    end as evidence,
    case
        when counted.violation_count is not null then 'fail'
        when happened.subject is null then 'did_not_happen'
        else 'pass'
    end as result,
    counted.violation_count is null as is_ok,
    cast(criterion.criterion_number as bigint) as criterion_number,
    cast(criterion.rule as bigint) as rule,
    coalesce(counted.violation_count, 0) as violation_count
from experiment
cross join criterion
left join counted
    on
        experiment.experiment_id = counted.experiment_id
        and criterion.criterion_number = counted.criterion_number
left join happened
    on experiment.experiment_id = happened.experiment_id and criterion.subject = happened.subject
left join unfixed on experiment.experiment_id = unfixed.experiment_id
left join bare_vm on experiment.experiment_id = bare_vm.experiment_id
left join assumed_image on experiment.experiment_id = assumed_image.experiment_id;

comment on view audit is
'A rule or quality criterion, and whether it was followed; grain: experiment_id, criterion';
comment on column audit.experiment_id is 'the experiment [id]';
comment on column audit.criterion is 'F1 to F5, or one of five quality criteria [name]';
comment on column audit.evidence is
'the violations, a confirmation that there are none, or what did not happen [text]';
comment on column audit.result is
'pass, fail, or did_not_happen if there was nothing to check [name]';
comment on column audit.is_ok is 'there is no violation [bool]';
comment on column audit.criterion_number is
'order: by rule, the rule itself before its criteria [count]';
comment on column audit.rule is
'fmon audit exits with 20 + the first rule that was not followed; 1 to 5 [count]';
comment on column audit.violation_count is 'number of violations [count]';
