-- The factor levels that a root cause is associated with, as numbers; view suspect has them as text.
--
-- For each cause, all observed combinations of one or two levels are tested (fisher) over the newest results
-- of the conditions (attempt_result_level), with Holm's correction over all of them. A pair counts only if
-- it is also significant inside each of its two levels; otherwise one level explains everything. Of the
-- remaining combinations, the one with the smallest p wins the round; its conditions are removed, and the
-- others are tested again.
--
-- A condition that failed with another cause counts as one without this cause, though it may have failed too
-- early to show it. So a cause that occurs everywhere can look associated with the levels where the other
-- cause is absent. Leaving them out would hide where a cause occurs; outside_other_count counts them.
--
-- Triples are not tested: they need many conditions to be significant, and a pair in one is found first.
create or replace view cause_level_association as
with recursive
mark as (
    select
        newest.experiment_id,
        newest.factor,
        newest.level,
        newest.condition_number,
        newest.factor_number,
        newest.level_number,
        newest.root_cause_id,
        hash(newest.condition_number) as fingerprint
    from attempt_result_level as newest
    -- Without a failure there is nothing to explain.
    where
        list_contains(
            (
                select list(distinct result.experiment_id) from attempt_result as result
                where result.is_newest and result.is_failed
            ),
            newest.experiment_id
        )
),

cause as (
    select
        result.experiment_id,
        result.root_cause_id,
        any_value(result.category) as category,
        row_number() over (
            order by result.experiment_id, result.root_cause_id
        ) as cause_number,
        count(*) as failed_count
    from attempt_result as result
    where result.is_newest and result.is_failed
    group by result.experiment_id, result.root_cause_id
),

total as (
    select
        result.experiment_id,
        count(*) filter (where result.is_failed) as broken_count,
        count(*) as total_count
    from attempt_result as result
    where result.is_newest
    group by result.experiment_id
),

item as (
    select
        any_value(mark.experiment_id) as experiment_id,
        any_value(mark.factor) as factor,
        any_value(mark.level) as level,
        any_value(mark.factor_number) as factor_number,
        mark.level_number
    from mark
    group by mark.level_number
),

paired as (
    select
        one.level_number as one,
        other.level_number as other,
        count(one.root_cause_id) as broken_count,
        count(*) as total_count,
        bit_xor(one.fingerprint) as fingerprint
    from mark as one
    inner join mark as other
        on one.condition_number = other.condition_number and one.level_number <= other.level_number
    group by one.level_number, other.level_number
),

-- All observed combinations: two ordered levels; a single level is a pair with itself.
combined as (
    select
        one.experiment_id,
        case
            when paired.one = paired.other then map_from_entries([(one.factor, one.level)])
            else map_from_entries([(one.factor, one.level), (other.factor, other.level)])
        end as combination,
        one.factor_number,
        paired.one,
        paired.other,
        paired.broken_count,
        paired.total_count,
        paired.fingerprint,
        count(*) over (partition by one.experiment_id) as combination_count
    from paired
    inner join item as one on paired.one = one.level_number
    inner join item as other on paired.other = other.level_number
),

-- Materialized: otherwise the planner may pair the levels of all conditions first.
failed_mark as materialized (
    select
        cause.cause_number,
        mark.condition_number,
        mark.level_number
    from mark
    inner join cause using (experiment_id, root_cause_id)
),

struck as (
    select
        one.cause_number,
        one.level_number as one,
        other.level_number as other,
        count(*) as failed_count
    from failed_mark as one
    inner join failed_mark as other
        on one.condition_number = other.condition_number and one.level_number <= other.level_number
    group by one.cause_number, one.level_number, other.level_number
),

-- Most causes end here, because Holm's first step rejects nothing. Rounded, so that 1/20 is 0.05 here and
-- below.
searched as (
    select
        cause.cause_number,
        cause.experiment_id,
        cause.root_cause_id,
        cause.category,
        cause.failed_count,
        total.broken_count,
        total.total_count
    from struck
    inner join combined using (one, other)
    inner join cause using (cause_number)
    inner join total on cause.experiment_id = total.experiment_id
    where
        struck.failed_count * total.total_count > combined.total_count * cause.failed_count
        and round(
            combined.combination_count * (
                select chance.p_value
                from
                    fisher(
                        struck.failed_count, combined.total_count, cause.failed_count, total.total_count
                    ) as chance
            ),
            9
        ) <= 0.05
    group by all
),

found as (
    select
        searched.cause_number,
        cast(0 as bigint) as round,
        cast([] as struct(one bigint, other bigint)[]) as taken,
        cast(null as map (varchar, varchar)) as combination,
        cast(null as map (varchar, varchar)[]) as equivalents,
        cast(null as bigint) as failed_count,
        cast(null as bigint) as total_count,
        cast(null as bigint) as remaining_failed_count,
        cast(null as bigint) as remaining_total_count,
        cast(null as bigint) as outside_other_count,
        cast(null as double) as p_value,
        cast(null as double) as p_holm
    from searched

    union all

    (
        -- A single level is listed twice, as in its pair with itself: combinations with it are removed too.
        with taken as (
            select
                found.cause_number,
                generate_subscripts(found.taken, 1) as position,
                unnest(found.taken) as levels
            from found
            where found.round < 5
        ),

        suspected as (
            select
                taken.cause_number,
                taken.position,
                unnest([taken.levels.one, taken.levels.other]) as level_number
            from taken
        ),

        -- Materialized, here and below: otherwise the planner processes all levels of all conditions first.
        held as materialized (
            select
                suspected.cause_number,
                suspected.position,
                mark.condition_number,
                mark.root_cause_id
            from suspected
            inner join mark on suspected.level_number = mark.level_number
        ),

        gone as (
            select distinct -- noqa: AM01
                held.cause_number,
                held.condition_number,
                held.root_cause_id,
                coalesce(held.root_cause_id = searched.root_cause_id, false) as is_failed
            from held
            inner join searched using (cause_number)
            group by
                held.cause_number,
                held.position,
                held.condition_number,
                held.root_cause_id,
                searched.root_cause_id
            having count(*) = 2
        ),

        gone_mark as materialized (
            select
                gone.cause_number,
                gone.condition_number,
                gone.root_cause_id,
                gone.is_failed,
                mark.level_number,
                mark.fingerprint
            from gone
            inner join mark on gone.condition_number = mark.condition_number
        ),

        gone_combined as (
            select
                one.cause_number,
                one.level_number as one,
                other.level_number as other,
                count(*) filter (where one.is_failed) as failed_count,
                count(one.root_cause_id) as broken_count,
                count(*) as total_count,
                bit_xor(one.fingerprint) as fingerprint
            from gone_mark as one
            inner join gone_mark as other
                on
                    one.cause_number = other.cause_number
                    and one.condition_number = other.condition_number
                    and one.level_number <= other.level_number
            group by one.cause_number, one.level_number, other.level_number
        ),

        remaining_total as (
            select
                found.cause_number,
                found.round,
                found.taken,
                searched.experiment_id,
                any_value(searched.failed_count) - count(*) filter (where gone.is_failed) as failed_count,
                any_value(searched.broken_count) - count(gone.root_cause_id) as broken_count,
                any_value(searched.total_count) - count(gone.condition_number) as total_count
            from found
            inner join searched using (cause_number)
            left join gone using (cause_number)
            where found.round < 5
            group by found.cause_number, found.round, found.taken, searched.experiment_id
        ),

        remaining as (
            select
                remaining_total.cause_number,
                combined.combination,
                combined.factor_number,
                combined.one,
                combined.other,
                coalesce(struck.failed_count, 0) - coalesce(gone_combined.failed_count, 0) as failed_count,
                combined.broken_count - coalesce(gone_combined.broken_count, 0) as broken_count,
                combined.total_count - coalesce(gone_combined.total_count, 0) as total_count,
                xor(combined.fingerprint, coalesce(gone_combined.fingerprint, 0)) as fingerprint,
                remaining_total.failed_count as remaining_failed_count,
                remaining_total.total_count as remaining_total_count
            from remaining_total
            inner join combined using (experiment_id)
            left join struck using (cause_number, one, other)
            left join gone_combined using (cause_number, one, other)
            where combined.total_count > coalesce(gone_combined.total_count, 0)
        ),

        -- When conditions are removed, a factor may have only one level left, which explains nothing.
        single as (
            select
                remaining.cause_number,
                remaining.one as level_number,
                remaining.failed_count,
                remaining.total_count
            from remaining
            where remaining.one = remaining.other
            qualify count(*) over (partition by remaining.cause_number, remaining.factor_number) > 1
        ),

        tested as (
            select
                remaining.cause_number,
                remaining.combination,
                remaining.one,
                remaining.other,
                remaining.failed_count,
                remaining.broken_count,
                remaining.total_count,
                remaining.fingerprint,
                one.failed_count as one_failed_count,
                one.total_count as one_total_count,
                other.failed_count as other_failed_count,
                other.total_count as other_total_count,
                count(*) over (partition by remaining.cause_number) as combination_count,
                -- Without a lift, p is at least one half: such combinations count, but need no test.
                case
                    when
                        remaining.failed_count * remaining.remaining_total_count
                        > remaining.total_count * remaining.remaining_failed_count
                        then (
                            select chance.log_p
                            from
                                fisher(
                                    remaining.failed_count,
                                    remaining.total_count,
                                    remaining.remaining_failed_count,
                                    remaining.remaining_total_count
                                ) as chance
                        )
                end as log_p
            from remaining
            inner join single as one
                on remaining.cause_number = one.cause_number and remaining.one = one.level_number
            inner join single as other
                on remaining.cause_number = other.cause_number and remaining.other = other.level_number
        ),

        -- Holm: the smallest p times the number of tests, the next one times one less, and never decreasing.
        stepped as (
            select
                tested.cause_number,
                tested.one,
                tested.other,
                row_number() over holm as p_rank,
                exp(tested.log_p) * (tested.combination_count + 1 - row_number() over holm) as p_stepped
            from tested
            where tested.log_p is not null
            window holm as (partition by tested.cause_number order by tested.log_p)
        ),

        corrected as (
            select
                stepped.cause_number,
                stepped.one,
                stepped.other,
                max(stepped.p_stepped) over (
                    partition by stepped.cause_number
                    order by stepped.p_rank
                ) as p_holm
            from stepped
        ),

        chosen as (
            select
                tested.cause_number,
                tested.combination,
                tested.failed_count,
                tested.broken_count,
                tested.total_count,
                tested.fingerprint,
                tested.one,
                tested.other,
                exp(tested.log_p) as p_value,
                corrected.p_holm
            from corrected
            inner join tested using (cause_number, one, other)
            where
                round(corrected.p_holm, 9) <= 0.05
                and (
                    tested.one = tested.other
                    or round(
                        greatest(
                            (
                                select chance.p_value
                                from
                                    fisher(
                                        tested.failed_count,
                                        tested.total_count,
                                        tested.one_failed_count,
                                        tested.one_total_count
                                    ) as chance
                            ),
                            (
                                select chance.p_value
                                from
                                    fisher(
                                        tested.failed_count,
                                        tested.total_count,
                                        tested.other_failed_count,
                                        tested.other_total_count
                                    ) as chance
                            )
                        ),
                        9
                    ) <= 0.05
                )
            -- If equal, the simpler one comes first, then the order of the config decides.
            qualify
                row_number() over (
                    partition by tested.cause_number
                    order by tested.log_p, tested.one <> tested.other, tested.one, tested.other
                ) = 1
        ),

        -- Other combinations with the same conditions. A pair adds nothing if one of its levels has them all.
        alike as (
            select
                chosen.cause_number,
                list(
                    tested.combination
                    order by tested.one <> tested.other, tested.one, tested.other
                ) as equivalents
            from chosen
            inner join tested using (cause_number, total_count, fingerprint)
            where
                (tested.one <> chosen.one or tested.other <> chosen.other)
                and (
                    tested.one = tested.other
                    or least(tested.one_total_count, tested.other_total_count) > tested.total_count
                )
            group by chosen.cause_number
        )

        select
            chosen.cause_number,
            remaining_total.round + 1 as round,
            list_append(
                remaining_total.taken, struct_pack(one := chosen.one, other := chosen.other)
            ) as taken,
            chosen.combination,
            coalesce(alike.equivalents, []) as equivalents,
            chosen.failed_count,
            chosen.total_count,
            remaining_total.failed_count as remaining_failed_count,
            remaining_total.total_count as remaining_total_count,
            remaining_total.broken_count - remaining_total.failed_count
            - chosen.broken_count + chosen.failed_count as outside_other_count,
            chosen.p_value,
            chosen.p_holm
        from chosen
        inner join remaining_total using (cause_number)
        left join alike using (cause_number)
    )
)

select
    searched.experiment_id,
    searched.root_cause_id,
    searched.category,
    found.combination,
    found.equivalents,
    found.round,
    found.failed_count,
    found.total_count,
    found.remaining_failed_count,
    found.remaining_total_count,
    found.outside_other_count,
    found.failed_count * found.remaining_total_count
    / (found.total_count * found.remaining_failed_count) as lift,
    found.p_value,
    found.p_holm
from found
inner join searched using (cause_number)
where found.round > 0;

comment on view cause_level_association is
'A combination of levels that a root cause is associated with; grain: experiment_id, root_cause_id, round';
comment on column cause_level_association.experiment_id is 'the experiment [id]';
comment on column cause_level_association.root_cause_id is 'the root cause [id]';
comment on column cause_level_association.category is 'its category [name]';
comment on column cause_level_association.combination is 'factor -> level, one or two of them [text]';
comment on column cause_level_association.equivalents is
'other combinations with exactly the same conditions: the data can''t distinguish them [text]';
comment on column cause_level_association.round is
'round of the search, from 1; later rounds test the conditions that earlier ones did not explain [count]';
comment on column cause_level_association.failed_count is
'conditions of the combination that failed with this cause [count]';
comment on column cause_level_association.total_count is
'conditions of the combination that have a result [count]';
comment on column cause_level_association.remaining_failed_count is
'conditions of this round that failed with this cause [count]';
comment on column cause_level_association.remaining_total_count is
'conditions of this round [count]';
comment on column cause_level_association.outside_other_count is
'those of them outside the combination that failed with another cause, perhaps too early [count]';
comment on column cause_level_association.lift is
'failed_count / total_count divided by remaining_failed_count / remaining_total_count [ratio]';
comment on column cause_level_association.p_value is
'probability of so many failures in it, see fisher [ratio]';
comment on column cause_level_association.p_holm is
'the same, corrected for all combinations of the round; at most 0.05 [ratio]';
