-- Fisher's exact test, one-sided: the probability that chance alone puts so many failures into one group. Of
-- total_count conditions failed_count failed; the group has group_count conditions, hit_count of which
-- failed. The sum of C(failed, i) C(total - failed, group - i) / C(total, group) over i >= hit_count. If
-- called with columns, it is computed once per distinct set of four values: (select p_value from
-- fisher(...)).
create or replace macro fisher(hit_count, group_count, failed_count, total_count) as table
    with shape as (
        select
            lgamma(failed_count + 1)
            + lgamma(total_count - failed_count + 1)
            - lgamma(total_count + 1)
            + lgamma(group_count + 1)
            + lgamma(total_count - group_count + 1) as log_constant,
            cast(floor((group_count + 1.0) * (failed_count + 1.0) / (total_count + 2.0)) as bigint) as peak,
            -- Beyond nine standard deviations plus 20, the terms are negligible.
            20 + cast(
                ceil(
                    9 * sqrt(
                        1.0 * group_count * failed_count / total_count
                        * (total_count - failed_count) / total_count
                        * (total_count - group_count) / greatest(total_count - 1, 1)
                    )
                ) as bigint
            ) as longest_run
    ),

    step as (
        select
            shape.log_constant,
            unnest(
                generate_series(
                    greatest(hit_count, shape.peak - shape.longest_run),
                    least(group_count, failed_count, greatest(hit_count, shape.peak) + shape.longest_run)
                )
            ) as i
        from shape
    ),

    term as (
        select
            step.log_constant
            - lgamma(step.i + 1)
            - lgamma(failed_count - step.i + 1)
            - lgamma(group_count - step.i + 1)
            - lgamma(total_count - failed_count - group_count + step.i + 1) as log_term
        from step
    ),

    top as (
        select max(term.log_term) as log_term from term
    ),

    summed as (
        select least(0.0, any_value(top.log_term) + ln(sum(exp(term.log_term - top.log_term)))) as log_p
        from term
        cross join top
    )

    select
        exp(summed.log_p) as p_value,
        summed.log_p
    from summed;

comment on macro table fisher is -- noqa: PRS
'Probability that chance alone puts so many failures into a group (Fisher''s exact test, one-sided); grain: one row
p_value: probability of hit_count or more failures in a group of group_count, failed_count of total_count failed [ratio]
log_p: its natural logarithm, which also distinguishes values too small for a double [ratio]';
