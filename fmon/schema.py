"""The source relations that Python binds and the SQL views read: column, type, unit, meaning.

Types are DuckDB's; ``store.arrow`` derives the Parquet schema from them. A test
compares ``SNAPSHOT`` with ``model.Record``.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a source relation."""

    name: str
    type: str
    unit: str
    meaning: str


_EXPERIMENT = Column("experiment_id", "varchar", "id", "the experiment")
_JOB_KEY = Column("job_key", "bigint", "id", "key of the job: its id, unless SkyPilot reused that id")
_POLL = (
    _EXPERIMENT,
    Column("poll_id", "bigint", "id", "order of the poll within the experiment, assigned under the lock"),
    Column(
        "polled_at",
        "timestamptz",
        "UTC",
        "when the queue was read; clocks step, so this is data, never an order",
    ),
)

HEARTBEAT = (
    *_POLL,
    Column("source", "varchar", "name", "where the queue was read from: sky, file:..., recording"),
    Column("is_ok", "boolean", "bool", "the queue answered"),
    Column("error_type", "varchar", "name", "class of the error if it did not"),
    Column("error", "varchar", "text", "its message, one line"),
    Column("job_count", "bigint", "count", "records in the entire answer, all users and experiments"),
    Column("seen_count", "bigint", "count", "records among them that belong to this experiment"),
    Column("changed_count", "bigint", "count", "snapshot rows that this poll wrote"),
    Column("latency_s", "double", "s", "time the queue took to answer"),
)

SNAPSHOT = (
    *_POLL,
    _JOB_KEY,
    Column("task_id", "bigint", "id", "task within the job; 0 for a job of one task"),
    Column("job_id", "bigint", "id", "SkyPilot's managed job"),
    Column("job_name", "varchar", "name", "the job's name; not unique"),
    Column("task_name", "varchar", "name", "the task's name"),
    Column("is_seen", "boolean", "bool", "the queue listed it; false = absent from a successful poll"),
    Column("status", "varchar", "name", "SkyPilot's status, unchanged; for an absent job the last known one"),
    Column("submitted_at", "timestamptz", "UTC", "submitted to SkyPilot"),
    Column("start_at", "timestamptz", "UTC", "first RUNNING; setup is part of RUNNING"),
    Column("end_at", "timestamptz", "UTC", "became terminal"),
    Column("last_recovered_at", "timestamptz", "UTC", "end of the last recovery"),
    Column(
        "job_duration_s",
        "double",
        "s",
        "run time without provisioning and recovery; only in ended rows and ones without start_at",
    ),
    Column("recovery_count", "bigint", "count", "number of recoveries"),
    Column("details", "varchar", "text", "what the job is doing, according to SkyPilot, redacted"),
    Column("failure_reason", "varchar", "text", "why it failed, according to SkyPilot, redacted"),
    Column("resources", "varchar", "text", "requested resources"),
    Column("machine", "varchar", "text", "resources of its current machine; null = none, or not reported"),
    Column("has_machine", "boolean", "bool", "it has a machine; null = not reported"),
    Column(
        "schedule_state", "varchar", "name", "state of SkyPilot's scheduler: LAUNCHING, ALIVE_BACKOFF, ..."
    ),
    Column("cloud", "varchar", "name", "cloud it runs on"),
    Column("region", "varchar", "name", "region it runs in"),
    Column("zone", "varchar", "name", "zone it runs in"),
    Column("infra", "varchar", "name", "SkyPilot's infra string"),
    Column("user_name", "varchar", "name", "who submitted it"),
    Column("user_hash", "varchar", "id", "SkyPilot's id of the user"),
    Column("workspace", "varchar", "name", "SkyPilot workspace"),
    Column("invalid_fields", "varchar", "text", "names of impossible times and durations; null = none"),
    Column("price_usd_per_h", "double", "USD/h", "price of its machine per hour; null = unknown"),
    Column("price_source", "varchar", "name", "source of the price: config or catalog"),
)

MANIFEST = (
    _EXPERIMENT,
    Column("experiment_name", "varchar", "name", "name in the config"),
    Column("config_file", "varchar", "text", "the config that it was created from"),
    Column("is_replayed", "boolean", "bool", "created from a recording; its clock is its last poll"),
    Column("current_cycle", "bigint", "count", "newest cycle launched"),
    Column("max_relaunch_cycles", "bigint", "count", "relaunches allowed before a person decides (F4)"),
    Column("budget_usd", "double", "USD", "budget; null = none"),
    Column("controller_usd_per_h", "double", "USD/h", "price of the jobs controller; null = unknown"),
    Column("pending_threshold_s", "double", "s", "PENDING longer than this raises an alarm"),
    Column("starting_threshold_s", "double", "s", "STARTING longer than this raises an alarm"),
    Column(
        "overrun_factor",
        "double",
        "ratio",
        "running longer than this many times the expected time raises an alarm",
    ),
    Column(
        "flapping_threshold",
        "bigint",
        "count",
        "number of changes to PENDING, STARTING or RECOVERING within 6 h that raises an alarm; 0 = never",
    ),
    Column("created_at", "timestamptz", "UTC", "when the experiment was created"),
)

ENTRY = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("kind", "varchar", "name", "grid or baseline"),
    Column("factors", "map(varchar, varchar)", "text", "its factor levels as text"),
    Column("levels", "varchar", "text", "its factor levels as a JSON object, with the types of the config"),
    Column("job_name", "varchar", "name", "the exact name of its jobs"),
    Column("manifest_position", "bigint", "count", "position in the manifest"),
    Column("expected_s", "double", "s", "expected run time; null = unknown"),
)

ATTEMPT = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("cycle", "bigint", "count", "0 = first launch, 1 and 2 = relaunches"),
    Column("job_id", "bigint", "id", "its managed job"),
    _JOB_KEY,
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
    _JOB_KEY,
    Column("reported_usd", "double", "USD", "its cost in SkyPilot's own cost report, all its machines"),
    Column("reported_at", "timestamptz", "UTC", "when SkyPilot was last asked"),
)

FINDING = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "a job that failed"),
    _JOB_KEY,
    Column("task_id", "bigint", "id", "its task that failed"),
    Column(
        "rules_version", "varchar", "name", "version of the rules and of the user's patterns that examined it"
    ),
    Column("log_state", "varchar", "name", "stored, or missing: judged by the queue record alone"),
    Column("log_error", "varchar", "text", "why the log of the task is missing"),
    Column("category", "varchar", "name", "root cause (docs/causes.md); unknown if no rule decides"),
    Column("subcategory", "varchar", "name", "more specific than the category; null = none"),
    Column("root_cause_id", "varchar", "id", "id that failures of one root cause share"),
    Column("signature", "varchar", "id", "hash of the normalised error; equal for identical errors"),
    Column("root_cause", "varchar", "text", "the cause as one sentence"),
    Column("exception_class", "varchar", "name", "the exception that decided; null = none"),
    Column("message", "varchar", "text", "its message, with the parts that differ from run to run masked"),
    Column(
        "source",
        "varchar",
        "name",
        "where the evidence was found: log, controller_log, failure_reason or status",
    ),
    Column("evidence", "varchar", "text", "the line that decided, redacted"),
    Column("rule", "varchar", "name", "the rule that decided"),
    Column("runner_up", "varchar", "name", "the second best category/subcategory; null = none"),
    Column("remedy", "varchar", "name", "auto, config, code, unrecoverable or none"),
    Column("affected_files", "varchar[]", "text", "project files that the log names, deepest first"),
    Column("is_auto_fixable", "boolean", "bool", "a relaunch alone may fix it"),
    Column("is_given_up", "boolean", "bool", "the missing log will not be requested again"),
    Column("evidence_line", "bigint", "count", "number of that line in the stored log, from 1"),
    Column("exit_code", "bigint", "id", "the program's exit code, as stated by SkyPilot; null = none"),
    Column("confidence", "double", "ratio", "confidence of the rule"),
    Column("ask_count", "bigint", "count", "how often the log was requested"),
    Column("end_at", "timestamptz", "UTC", "the end of the run that it is about; null = unknown"),
    Column("examined_at", "timestamptz", "UTC", "when the log was last requested or read"),
)
"""One row per failed job task, written by ``fmon.monitor.classify`` from stored logs and snapshots."""

VARIABLE_CHECK = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "a job whose variables were compared with those of its condition"),
    _JOB_KEY,
    Column(
        "wrong_names",
        "varchar[]",
        "name",
        "variables that are missing or have different values; null = not in SkyPilot's record",
    ),
    Column("poll_id", "bigint", "id", "the newest poll at that time"),
    Column("submitted_at", "timestamptz", "UTC", "when the job was submitted; null = unknown"),
)
"""One row per job, written by ``fmon.monitor.check_variables``; it contains no values of variables."""

_POSITION = Column("event_position", "bigint", "count", "its position in events.jsonl, from 1")

FIRING = (
    _EXPERIMENT,
    Column("firing_id", "bigint", "id", "order of the firing within the experiment, from 1"),
    Column("trigger", "varchar", "name", "identical_errors, or failed_ratio: too many jobs failed"),
    Column("signature", "varchar", "id", "the error that the jobs share; null for failed_ratio"),
    Column("category", "varchar", "name", "its root cause category; null for failed_ratio"),
    Column("cycle", "bigint", "count", "cycle of the jobs"),
    _POSITION,
    Column("member_job_ids", "varchar[]", "id", "the failed jobs; a job is in one firing of each trigger"),
    Column("member_job_keys", "varchar[]", "id", "their keys"),
    Column("first_failed_at", "timestamptz", "UTC", "when the first of them ended"),
    Column("fired_at", "timestamptz", "UTC", "when a poll first saw them"),
    Column("failure_point_s", "double", "s", "run time by which they had failed; 0 = they never started"),
    Column(
        "combination", "map(varchar, varchar)", "text", "factor and level that they share; empty = all jobs"
    ),
    Column(
        "candidate_job_ids", "varchar[]", "id", "open jobs of the combination that had not passed that point"
    ),
    Column("candidate_job_keys", "varchar[]", "id", "their keys"),
    Column("no_action_reason", "varchar", "text", "why no job was proposed for cancelling; null = some were"),
)
"""One row per ``kill_switch`` event: what the poll that fired it saw, never evaluated again."""

DIAGNOSIS = (
    _EXPERIMENT,
    Column("root_cause_ids", "varchar[]", "id", "the root causes that it found"),
    Column("is_preliminary", "boolean", "bool", "made while jobs were open: it allows no fix"),
    Column("cycle", "bigint", "count", "cycle of the experiment at that time"),
    Column("failed_count", "bigint", "count", "failures that it covers"),
    _POSITION,
    Column("diagnosed_at", "timestamptz", "UTC", "when it was made"),
)

FIX_RECORD = (
    _EXPERIMENT,
    Column("root_cause_id", "varchar", "id", "the root cause"),
    Column("what", "varchar", "text", "what was done, or why nothing was; redacted"),
    Column("person", "varchar", "name", "who recorded it"),
    Column("is_without_fix", "boolean", "bool", "nothing was changed; what is the reason"),
    Column("cycle", "bigint", "count", "cycle of the experiment at that time, whose failures were fixed"),
    _POSITION,
    Column("fixed_at", "timestamptz", "UTC", "when it was recorded"),
)

FIX_CHECK = (
    _EXPERIMENT,
    Column("image", "varchar", "name", "the image that the next attempts would run with"),
    Column("digest", "varchar", "id", "its digest in the registry at that time; null = unknown"),
    Column("is_ok", "boolean", "bool", "no link of the chain from diagnosis to image was broken (F3)"),
    Column("cycle", "bigint", "count", "cycle of the experiment at that time, whose failures were fixed"),
    _POSITION,
    Column("checked_at", "timestamptz", "UTC", "when it was measured"),
)

CYCLE_START = (
    _EXPERIMENT,
    Column("condition_ids", "varchar[]", "id", "the relaunched conditions"),
    Column("cycle", "bigint", "count", "the cycle that started"),
    _POSITION,
    Column("started_at", "timestamptz", "UTC", "when it started"),
)

CYCLE_AUTHORIZATION = (
    _EXPERIMENT,
    Column("person", "varchar", "name", "who authorized a cycle beyond the limit (F4)"),
    Column("cycle", "bigint", "count", "the authorized cycle"),
    Column("budget_usd", "double", "USD", "what it may cost"),
    _POSITION,
    Column("authorized_at", "timestamptz", "UTC", "when it was authorized"),
)

CANCEL_REQUEST = (
    _EXPERIMENT,
    Column("job_id", "bigint", "id", "a job that fmon asked SkyPilot to cancel"),
    _JOB_KEY,
    Column("reason", "varchar", "name", "kill_switch, or person"),
    Column("person", "varchar", "name", "who requested it"),
    _POSITION,
    Column("requested_at", "timestamptz", "UTC", "when it was first requested"),
)

LOST_JOB_CLOSURE = (
    _EXPERIMENT,
    Column("condition_id", "varchar", "id", "the condition"),
    Column("job_id", "bigint", "id", "its lost job, which a person declared ended"),
    _JOB_KEY,
    Column("person", "varchar", "name", "who declared it"),
    Column("reason", "varchar", "text", "the evidence"),
    _POSITION,
    Column("closed_at", "timestamptz", "UTC", "when it was closed"),
)

BARE_VM = (
    _EXPERIMENT,
    Column("step", "varchar", "name", "launch or adoption"),
    Column("person", "varchar", "name", "who allowed jobs without a container image"),
    Column("allowed_at", "timestamptz", "UTC", "when it was allowed"),
)

ASSUMED_IMAGE = (
    _EXPERIMENT,
    Column("step", "varchar", "name", "adoption or fix verify: when the registry was asked"),
    Column("image", "varchar", "name", "the image of the adopted jobs"),
    Column("digest", "varchar", "id", "its digest at that time; the jobs may have run with an earlier one"),
    Column("assumed_at", "timestamptz", "UTC", "when the registry was asked"),
)

FILED_ISSUE = (
    _EXPERIMENT,
    Column("root_cause_id", "varchar", "id", "the root cause that an issue is about"),
    Column("repository", "varchar", "name", "where it was filed"),
    Column("action", "varchar", "name", "create; comment or find: an earlier experiment had filed it"),
    Column("url", "varchar", "text", "the issue"),
    _POSITION,
    Column("filed_at", "timestamptz", "UTC", "when it was filed"),
)

TRACKED_RUN = (
    _EXPERIMENT,
    Column("run_id", "varchar", "id", "the MLflow run"),
    Column("run_name", "varchar", "name", "its name in MLflow"),
    Column("parent_run_id", "varchar", "id", "the run it is nested in; null = none"),
    Column("status", "varchar", "name", "its status in MLflow"),
    Column("experiment_tag", "varchar", "id", "the experiment named by its tag fmon.experiment"),
    Column(
        "condition_tag",
        "varchar",
        "name",
        "the condition, or the name of its job, named by its condition tag",
    ),
    Column("job_tag", "varchar", "id", "the managed job named by its job tag"),
    Column("url", "varchar", "text", "its page; null = the tracking store has none"),
    Column("metrics", "map(varchar, double)", "text", "the chosen metrics, their last values"),
    Column("cycle_tag", "bigint", "count", "the cycle named by its tag fmon.cycle"),
    Column("started_at", "timestamptz", "UTC", "when it started"),
    Column("ended_at", "timestamptz", "UTC", "when it ended; null = still running"),
    Column("read_at", "timestamptz", "UTC", "when it was read from MLflow"),
)
"""One row per MLflow run with tags that name its job; ``fmon report`` reads and stores them."""

CLOCK = (Column("now", "timestamptz", "UTC", "the wall clock when the connection was opened"),)

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
    "variable_check": VARIABLE_CHECK,
    "firing": FIRING,
    "diagnosis": DIAGNOSIS,
    "fix_record": FIX_RECORD,
    "fix_check": FIX_CHECK,
    "cycle_start": CYCLE_START,
    "cycle_authorization": CYCLE_AUTHORIZATION,
    "cancel_request": CANCEL_REQUEST,
    "lost_job_closure": LOST_JOB_CLOSURE,
    "bare_vm": BARE_VM,
    "assumed_image": ASSUMED_IMAGE,
    "filed_issue": FILED_ISSUE,
    "tracked_run": TRACKED_RUN,
}
