"""The source relations that Python binds and the SQL views read: column, type, unit, meaning.

Types are DuckDB's; ``store.arrow`` derives the Parquet schema from them. A test holds
``SNAPSHOT`` against ``model.Record``.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a source relation."""

    name: str
    type: str
    unit: str
    meaning: str


_EXPERIMENT = Column("experiment_id", "varchar", "id", "the experiment")
_POLL = (
    _EXPERIMENT,
    Column("poll_id", "bigint", "id", "order of the poll within the experiment, given out under the lock"),
    Column(
        "polled_at",
        "timestamptz",
        "UTC",
        "when the queue was looked at; clocks step, so this is data, never order",
    ),
)

HEARTBEAT = (
    *_POLL,
    Column("source", "varchar", "name", "where the queue was read from: sky, file:..., recording"),
    Column("is_ok", "boolean", "bool", "the queue answered"),
    Column("error_type", "varchar", "name", "class of the error where it did not"),
    Column("error", "varchar", "text", "its message, one line"),
    Column("job_count", "bigint", "count", "records in the whole answer, all users and experiments"),
    Column("seen_count", "bigint", "count", "records among them that belong to this experiment"),
    Column("changed_count", "bigint", "count", "snapshot rows this poll wrote"),
    Column("latency_s", "double", "s", "time the queue took to answer"),
)

SNAPSHOT = (
    *_POLL,
    Column("job_id", "bigint", "id", "SkyPilot's managed job"),
    Column("task_id", "bigint", "id", "task within the job; 0 for a job of one task"),
    Column("job_name", "varchar", "name", "the job's name; not unique"),
    Column("task_name", "varchar", "name", "the task's name"),
    Column("is_seen", "boolean", "bool", "the queue listed it; false = absent from a successful poll"),
    Column("status", "varchar", "name", "SkyPilot's status as it came; of an absent job the last one known"),
    Column("submitted_at", "timestamptz", "UTC", "submitted to SkyPilot"),
    Column("start_at", "timestamptz", "UTC", "first RUNNING; setup is part of RUNNING"),
    Column("end_at", "timestamptz", "UTC", "became terminal"),
    Column("last_recovered_at", "timestamptz", "UTC", "last recovery done"),
    Column(
        "job_duration_s",
        "double",
        "s",
        "run time without provisioning and recovery; only in ended rows and ones without start_at",
    ),
    Column("recovery_count", "bigint", "count", "recoveries done"),
    Column("details", "varchar", "text", "what SkyPilot says it is doing, redacted"),
    Column("failure_reason", "varchar", "text", "why it failed as SkyPilot says it, redacted"),
    Column("resources", "varchar", "text", "requested resources"),
    Column("cloud", "varchar", "name", "cloud it runs on"),
    Column("region", "varchar", "name", "region it runs in"),
    Column("zone", "varchar", "name", "zone it runs in"),
    Column("infra", "varchar", "name", "SkyPilot's infra string"),
    Column("user_name", "varchar", "name", "who submitted it"),
    Column("user_hash", "varchar", "id", "SkyPilot's id of the user"),
    Column("workspace", "varchar", "name", "SkyPilot workspace"),
    Column(
        "price_usd_per_h", "double", "USD/h", "price of its machine per hour when first seen; null = unknown"
    ),
    Column("price_source", "varchar", "name", "where the price is from: config or catalog"),
)

MANIFEST = (
    _EXPERIMENT,
    Column("experiment_name", "varchar", "name", "name in the config"),
    Column("config_file", "varchar", "text", "the config it was made from"),
    Column("is_replayed", "boolean", "bool", "made from a recording; its clock is its last poll"),
    Column("current_cycle", "bigint", "count", "newest cycle launched"),
    Column("max_relaunch_cycles", "bigint", "count", "relaunches allowed before a person decides (F4)"),
    Column("budget_usd", "double", "USD", "budget; null = none"),
    Column("pending_threshold_s", "double", "s", "PENDING longer than this raises an alarm"),
    Column("starting_threshold_s", "double", "s", "STARTING longer than this raises an alarm"),
    Column(
        "overrun_factor",
        "double",
        "ratio",
        "running longer than this many times the expected time raises an alarm",
    ),
    Column("created_at", "timestamptz", "UTC", "when the experiment was made"),
)

ENTRY = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("kind", "varchar", "name", "grid or baseline"),
    Column("factors", "map(varchar, varchar)", "text", "its factor levels as text"),
    Column("job_name", "varchar", "name", "the exact name of its jobs"),
    Column("manifest_position", "bigint", "count", "position in the manifest"),
    Column("expected_s", "double", "s", "expected run time; null = none given"),
)

ATTEMPT = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("cycle", "bigint", "count", "0 = first launch, 1 and 2 = relaunches"),
    Column("job_id", "bigint", "id", "its managed job"),
    Column("role", "varchar", "name", "attempt, or superseded: an earlier ended job of the same cycle"),
)

ENTRY_ENV = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column(
        "envs", "map(varchar, varchar)", "text", "environment variables of its jobs: fixed, factors, its own"
    ),
)

FACTOR_LEVEL = (
    _EXPERIMENT,
    Column("factor", "varchar", "name", "factor"),
    Column("level", "varchar", "text", "level as text"),
    Column("factor_number", "bigint", "count", "position of the factor in the config"),
    Column("level_number", "bigint", "count", "position of the level in the config"),
)

REPORTED_COST = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "an ended managed job"),
    Column("reported_usd", "double", "USD", "what it cost by SkyPilot's own cost report, all its machines"),
    Column("reported_at", "timestamptz", "UTC", "when SkyPilot was asked last"),
)

FINDING = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "a job that failed"),
    Column("task_id", "bigint", "id", "the task of it that failed"),
    Column("rules_version", "varchar", "name", "rules and own patterns that it was examined by"),
    Column("log_state", "varchar", "name", "stored, or missing: judged by what the queue said alone"),
    Column("log_error", "varchar", "text", "why there is no log"),
    Column("category", "varchar", "name", "root cause (docs/causes.md); unknown where nothing decides"),
    Column("subcategory", "varchar", "name", "closer than the category; null = none"),
    Column("root_cause_id", "varchar", "id", "what failures of one root cause share"),
    Column("signature", "varchar", "id", "hash of the normalised error; the same = the identical error"),
    Column("root_cause", "varchar", "text", "the cause as one sentence"),
    Column("exception_class", "varchar", "name", "the exception that decided; null = none"),
    Column("message", "varchar", "text", "its message, with what differs from run to run masked"),
    Column("source", "varchar", "name", "log, controller_log, failure_reason or status: where that stood"),
    Column("evidence", "varchar", "text", "the line that decided, redacted"),
    Column("rule", "varchar", "name", "the rule that decided"),
    Column("runner_up", "varchar", "name", "the second best category/subcategory; null = none"),
    Column("remedy", "varchar", "name", "auto, config, code, unrecoverable or none"),
    Column("affected_files", "varchar[]", "text", "project files that the log names, deepest first"),
    Column("is_auto_fixable", "boolean", "bool", "a relaunch alone may do"),
    Column("is_given_up", "boolean", "bool", "a log that is missing will not be asked for again"),
    Column("evidence_line", "bigint", "count", "its number in the stored log, from 1"),
    Column("confidence", "double", "ratio", "how sure the rule is"),
    Column("ask_count", "bigint", "count", "how often the log was asked for"),
    Column("examined_at", "timestamptz", "UTC", "when the log was last asked for or read"),
)
"""One row per failed job task, written by ``fmon.monitor.classify`` from stored logs and snapshots."""

_POSITION = Column("event_position", "bigint", "count", "its place in events.jsonl, from 1")

FIRING = (
    _EXPERIMENT,
    Column("firing_id", "bigint", "id", "order of the firing within the experiment, from 1"),
    Column("trigger", "varchar", "name", "identical_errors, or failed_ratio: too many jobs failed"),
    Column("signature", "varchar", "id", "the error that the jobs share; null for failed_ratio"),
    Column("category", "varchar", "name", "its root cause category; null for failed_ratio"),
    Column("cycle", "bigint", "count", "cycle of the jobs"),
    _POSITION,
    Column("member_job_ids", "varchar[]", "id", "the failed jobs, each in one firing of its trigger"),
    Column("first_failed_at", "timestamptz", "UTC", "the first of them ended"),
    Column("fired_at", "timestamptz", "UTC", "the poll that first saw them"),
    Column("failure_point_s", "double", "s", "run time by which they had failed; 0 = they never started"),
    Column(
        "combination", "map(varchar, varchar)", "text", "factor -> level that they share; empty = all jobs"
    ),
    Column("candidate_job_ids", "varchar[]", "id", "open jobs of the combination not past that point then"),
    Column("no_action_reason", "varchar", "text", "why no job was proposed for cancelling; null = some were"),
)
"""One row per event ``kill_switch``: what the poll that fired saw, never judged again."""

DIAGNOSIS = (
    _EXPERIMENT,
    Column("root_cause_ids", "varchar[]", "id", "the root causes that it named"),
    Column("is_preliminary", "boolean", "bool", "made while jobs were open: it opens no fix"),
    Column("cycle", "bigint", "count", "cycle of the experiment then"),
    Column("failed_count", "bigint", "count", "failures that it gathered"),
    _POSITION,
    Column("diagnosed_at", "timestamptz", "UTC", "when it was made"),
)

FIX_RECORD = (
    _EXPERIMENT,
    Column("root_cause_id", "varchar", "id", "the root cause that something was done about"),
    Column("what", "varchar", "text", "what was done, redacted"),
    Column("person", "varchar", "name", "who did it"),
    Column("cycle", "bigint", "count", "cycle of the experiment then: the one whose failures were fixed"),
    _POSITION,
    Column("fixed_at", "timestamptz", "UTC", "when it was recorded"),
)

FIX_CHECK = (
    _EXPERIMENT,
    Column("image", "varchar", "name", "the image that the next attempts would run with"),
    Column("digest", "varchar", "id", "its digest in the registry then; null = unknown"),
    Column("is_ok", "boolean", "bool", "no link of the chain from diagnosis to image was broken (F3)"),
    Column("cycle", "bigint", "count", "cycle of the experiment then: the one whose failures were fixed"),
    _POSITION,
    Column("checked_at", "timestamptz", "UTC", "when it was measured"),
)

CYCLE_START = (
    _EXPERIMENT,
    Column("condition_ids", "varchar[]", "id", "the conditions that were run again"),
    Column("cycle", "bigint", "count", "the cycle that this began"),
    _POSITION,
    Column("started_at", "timestamptz", "UTC", "when"),
)

CYCLE_AUTHORIZATION = (
    _EXPERIMENT,
    Column("person", "varchar", "name", "who let a cycle beyond the last one (F4) be run"),
    Column("cycle", "bigint", "count", "that cycle"),
    Column("budget_usd", "double", "USD", "what it may cost"),
    _POSITION,
    Column("authorized_at", "timestamptz", "UTC", "when"),
)

CANCEL_REQUEST = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "a job that fmon asked SkyPilot to cancel"),
    Column("reason", "varchar", "name", "kill_switch, or person"),
    Column("person", "varchar", "name", "who asked"),
    _POSITION,
    Column("requested_at", "timestamptz", "UTC", "when it was first asked for"),
)

LOST_JOB_CLOSURE = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("job_id", "bigint", "id", "its lost job, which a person found to have ended"),
    Column("person", "varchar", "name", "who found it"),
    Column("reason", "varchar", "text", "how"),
    _POSITION,
    Column("closed_at", "timestamptz", "UTC", "when"),
)

BARE_VM = (
    _EXPERIMENT,
    Column("person", "varchar", "name", "who allowed its first launch without a container image"),
    Column("allowed_at", "timestamptz", "UTC", "when"),
)

FILED_ISSUE = (
    _EXPERIMENT,
    Column("root_cause_id", "varchar", "id", "the root cause that an issue is about"),
    Column("repository", "varchar", "name", "where it was filed"),
    Column("action", "varchar", "name", "create; comment or find: an earlier experiment had filed it"),
    Column("url", "varchar", "text", "the issue"),
    _POSITION,
    Column("filed_at", "timestamptz", "UTC", "when"),
)

TRACKED_RUN = (
    _EXPERIMENT,
    Column("run_id", "varchar", "id", "the run"),
    Column("run_name", "varchar", "name", "its name in MLflow"),
    Column("parent_run_id", "varchar", "id", "the run it is nested in; null = none"),
    Column("status", "varchar", "name", "MLflow's status of it"),
    Column("experiment_tag", "varchar", "id", "the experiment it says it is of (tag fmon.experiment)"),
    Column("condition_tag", "varchar", "name", "the condition, or name of its job, it says it is of"),
    Column("job_tag", "varchar", "id", "the managed job it says it is of"),
    Column("url", "varchar", "text", "its page; null = the tracking store has none"),
    Column("metrics", "map(varchar, double)", "text", "the chosen metrics, their last values"),
    Column("cycle_tag", "bigint", "count", "the cycle it says it is of (tag fmon.cycle)"),
    Column("started_at", "timestamptz", "UTC", "when it began"),
    Column("ended_at", "timestamptz", "UTC", "when it ended; null = it has not"),
    Column("read_at", "timestamptz", "UTC", "when MLflow was asked"),
)
"""One row per MLflow run that says whose it is; ``fmon report`` reads them and keeps them."""

CLOCK = (Column("now", "timestamptz", "UTC", "the wall clock when the connection was made"),)

SOURCES = {
    "clock": CLOCK,
    "manifest": MANIFEST,
    "entry": ENTRY,
    "attempt": ATTEMPT,
    "entry_env": ENTRY_ENV,
    "factor_level": FACTOR_LEVEL,
    "reported_cost": REPORTED_COST,
    "heartbeat": HEARTBEAT,
    "snapshot": SNAPSHOT,
    "finding": FINDING,
    "firing": FIRING,
    "diagnosis": DIAGNOSIS,
    "fix_record": FIX_RECORD,
    "fix_check": FIX_CHECK,
    "cycle_start": CYCLE_START,
    "cycle_authorization": CYCLE_AUTHORIZATION,
    "cancel_request": CANCEL_REQUEST,
    "lost_job_closure": LOST_JOB_CLOSURE,
    "bare_vm": BARE_VM,
    "filed_issue": FILED_ISSUE,
    "tracked_run": TRACKED_RUN,
}
