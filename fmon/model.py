"""The data model of an experiment: levels, conditions, the manifest and a queue record.

Pure data, defined with msgspec because ``fmon poll`` reads it on its hot path: msgspec validates and
decodes in C, and one definition gives the type, the check and the JSON Schema.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from fmon.job_key import MAX_JOB_ID, earlier_count_of, job_id_of, job_key

Level = bool | int | float | str
"""A factor's level; it keeps the type YAML gave it."""

Kind = Literal["grid", "baseline"]

# msgspec checks these when it decodes, and writes them into the JSON Schema.
JobId = Annotated[int, msgspec.Meta(ge=0, le=MAX_JOB_ID)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
JobKey = Annotated[str, msgspec.Meta(pattern="^(0|[1-9][0-9]{0,17})$")]
Usd = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STATES = ("succeeded", "failed", "running", "pending", "lost", "missing", "cancelled")
"""All states of a condition, in the order of the progress line."""

MAX_CONDITIONS = 100_000
"""Default maximum number of conditions of a config (``--max-conditions``)."""


def level_text(level: Level) -> str:
    """Format a level as in ids, job names and environment variables: booleans as true/false.

    A number that was read from a config has the text that it has there (``fmon.written``).
    """
    if isinstance(level, bool):
        return "true" if level else "false"
    return getattr(level, "written", None) or str(level)


def value_text(level: Level) -> str:
    """Format the value of a level as in SQL: equal numbers have the same text, however they are written.

    Examples
    --------
    >>> value_text(1.0), value_text(1e-4), value_text(True), value_text("1.0")
    ('1', '0.0001', 'true', '1.0')
    """
    if isinstance(level, float):
        return str(int(level)) if level.is_integer() and abs(level) < 2**63 else repr(float(level))
    return level_text(level) if isinstance(level, bool | str) else str(int(level))


def value_key(level: Level) -> tuple[str, Level]:
    """Return a key for the value of a level: 1 and 1.0 are equal; true and the text "1" are not 1.

    Examples
    --------
    >>> value_key(1) == value_key(1.0), value_key(1) == value_key(True), value_key(1) == value_key("1")
    (True, False, False)
    """
    if isinstance(level, bool):
        return "boolean", level
    return ("text" if isinstance(level, str) else "number"), level


def written_text(experiment: "Experiment | Manifest", factor: str, level: Level) -> str:
    """Return the text of a level in job names and variables: as the config writes it."""
    return experiment.written_levels.get(factor, {}).get(value_text(level)) or level_text(level)


def envs_of(experiment: "Experiment | Manifest", condition: "Condition | Entry") -> dict[str, str]:
    """Return the environment variables of a condition's jobs: fixed ones, its factors, its own.

    Parameters
    ----------
    experiment
        The experiment, from its config or its manifest.
    condition
        One of its conditions; a baseline has variables only for its own factors.
    """
    factors = {
        experiment.env_names.get(name, name.upper()): written_text(experiment, name, level)
        for name, level in condition.factors.items()
    }
    every = {**experiment.fixed, **factors, **condition.envs}
    return {name: value for name, value in every.items() if value is not None}


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Price of one accelerator [USD/h]; None = unknown."""

    spot: float | None = None
    on_demand: float | None = None
    source: str = "config"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of the alarms and of the checks before a launch."""

    budget_usd: float | None = None
    max_hourly_usd: float | None = None
    accelerators: list[str] | None = None
    clouds: list[str] | None = None
    regions: list[str] | None = None
    pending_minutes: float = 30.0
    starting_minutes: float = 10.0
    overrun_factor: float = 3.0
    flapping: Count = 5
    """Changes to PENDING, STARTING or RECOVERING within 6 h; 0 = no alarm."""


MAX_PARALLEL = 16
"""Maximum number of unanswered launches at a time: SkyPilot's client gets one thread for each."""


class LaunchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are submitted (``launch`` in the config)."""

    parallel: int = 8
    """Maximum number of launches sent and not answered."""
    per_minute: float = 60.0
    """Maximum number of launches per minute."""
    retries: int = 5
    """Maximum number of retries of a launch in one run, and of refusals in a row before the run ends."""
    backoff_s: float = 10.0
    """Pause after the first refusal by an overloaded server [s]; it doubles with each further one."""
    retry_interval_s: float = 300.0
    """Time between two attempts to submit queued conditions, while fmon watches [s]."""
    give_up_after_s: float = 168 * 3600.0
    """How long ``fmon launch --watch`` and ``fmon run`` keep submitting queued conditions [s]."""


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A failure pattern defined by the user (``patterns`` in the config)."""

    name: str
    regex: str
    """RE2 syntax, searched in single lines without colors and prefixes."""
    category: str
    subcategory: str | None = None
    confidence: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    veto: str | None = None
    """Lines that also match this are ignored."""


class Verify(msgspec.Struct, frozen=True, kw_only=True):
    """The user's shell commands, in the order that F3 requires (``verify`` in the config)."""

    tests: str | None = None
    build: str | None = None
    push: str | None = None
    max_commits: int = 1
    """Maximum number of commits of a fix: one batch, one commit."""


EXPERIMENT_TAG, CONDITION_TAG, CYCLE_TAG = "fmon.experiment", "fmon.condition", "fmon.cycle"
"""Tags of the MLflow runs of jobs that fmon launched."""
JOB_TAG = "fmon.job"


class Tracking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MLflow keeps the runs of the jobs (``mlflow`` in the config)."""

    tracking_uri: str | None = None
    """None = ``$MLFLOW_TRACKING_URI`` when the report is written."""
    experiment: str
    metrics: list[str] = []
    """Metrics to keep, in the order of the report; empty = all."""
    condition_tag: str = CONDITION_TAG
    """The tag with the condition's id or the name of its job."""
    job_tag: str = JOB_TAG
    """The tag with the managed job's id, or ``$SKYPILOT_TASK_ID``, which ends with it."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the grid, or one baseline beside it."""

    condition_id: str
    kind: Kind
    factors: dict[str, Level]
    job_name: str
    expected_minutes: float | None = None
    resources: dict[str, Any] = {}
    """Resources that differ from the task YAML's (``overrides`` in the config); shared, never changed."""
    envs: dict[str, str | None] = {}
    """Its own environment variables, in addition to ``fixed`` and its factors; shared, never changed.

    None = not set, although ``fixed`` sets it.
    """


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment's config, validated and expanded into its conditions."""

    experiment_name: str
    config_file: str
    skypilot_yaml: str
    factors: dict[str, list[Level]]
    conditions: list[Condition]
    inner_factors: dict[str, list[Level]]
    """Factors that are looped over inside each job: counted, never launched."""
    limits: Limits
    prices: dict[str, Price]
    written_levels: dict[str, dict[str, str]] = {}
    """How the config writes a number, by factor and value, if that is not its default text."""
    controller_usd_per_h: float | None = None
    """Price of the jobs controller (``controller`` in the config's ``prices``)."""
    env_names: dict[str, str] = {}
    """The environment variable that carries a factor, by factor."""
    fixed: dict[str, str] = {}
    """Environment variables of every job."""
    defaults: dict[str, str] = {}
    """Defaults of the study's launcher for keys that the config lacks, by key."""
    task: str | None = None
    """Absolute path given with ``--task``; None = the config names it."""
    base_file: str | None = None
    """Path of the config's base."""
    study_file: str | None = None
    """Path of the file in the study's form: the config or its base; None = neither is."""
    study_keys: dict[str, Any] = {}
    """Keys of a config in the study's form that fmon does not use, with their values."""
    undeclared: list[str] = []
    """Variables that the program reads although the task does not declare them."""
    allow_variables: list[str] = []
    """System variables that the config may set nevertheless, such as PATH."""
    region_config: str | None = None
    """Name of a region file."""
    region_file: str | None = None
    """Its path; None = it does not exist."""
    region_searched: list[str] = []
    """The files that were looked for."""
    docker_image: str | None = None
    patterns: list[Pattern] = []
    preflight: list[str] = []
    """Commands that must succeed before the first job is launched."""
    parallel_jobs: int | None = None
    """Jobs that run at the same time, for the wall-clock estimate (``expect.parallel``)."""
    verify: Verify = Verify()
    kill_switch: Literal["alert", "act"] = "alert"
    max_failed_ratio: Ratio | None = None
    mlflow: Tracking | None = None
    launch: LaunchLimits = LaunchLimits()
    max_conditions: int = MAX_CONDITIONS
    """The limit with which the config was read."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A managed job of an earlier cycle, or an earlier ended job of the same condition."""

    cycle: Count
    job_id: JobId
    earlier_job_count: Count = 0
    """Number of earlier jobs with the same id."""
    role: Literal["attempt", "superseded"] = "attempt"

    @property
    def job_key(self) -> int:
        """Identity of the job."""
        return job_key(self.job_id, self.earlier_job_count)

    @classmethod
    def of(cls, key: int, *, cycle: int, role: Literal["attempt", "superseded"] = "attempt") -> "Attempt":
        """Return the attempt of a job."""
        return cls(cycle=cycle, job_id=job_id_of(key), earlier_job_count=earlier_count_of(key), role=role)


class Entry(msgspec.Struct, kw_only=True):
    """The manifest's record of one condition; its newest attempt is ``job_id`` in cycle ``relaunch_batch``.

    In the file, each factor is a key of its own beside these.
    ``status`` to ``failure_root_cause`` are copies as of the manifest's ``as_of``; no view reads them.
    ``failure_root_cause`` is the id of the root cause: ``unknown/unexamined`` for a failure that has not been
    examined yet, null for a condition that did not fail.
    """

    condition: str
    kind: Kind
    factors: dict[str, Level]
    job_name: str
    expected_minutes: float | None = None
    envs: dict[str, str | None] = {}
    """As in ``Condition``."""
    job_id: JobId | None = None
    earlier_job_count: Count = 0
    """As in ``Attempt``."""
    relaunch_batch: Count = 0
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    status: str | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    duration_seconds: float | None = None
    cost_usd: float | None = None
    mlflow_run_id: str | None = None
    failure_category: str | None = None
    failure_root_cause: str | None = None

    @property
    def job_key(self) -> int | None:
        """Identity of the job; None = there is none."""
        return None if self.job_id is None else job_key(self.job_id, self.earlier_job_count)

    @job_key.setter
    def job_key(self, key: int) -> None:
        self.job_id, self.earlier_job_count = job_id_of(key), earlier_count_of(key)

    @property
    def job_keys(self) -> list[int]:
        """Identities of the jobs of all attempts, that of the newest last."""
        earlier, newest = [attempt.job_key for attempt in self.attempts], self.job_key
        return earlier if newest is None else [*earlier, newest]


DigestSource = Literal["launch", "pinned", "assumed_at_adoption", "assumed_at_fix"]
"""launch: of the image that fmon launched; pinned: the image of adopted jobs names it; otherwise the registry
had it when adopted jobs were adopted, or when their fix was first verified: they may have run with an earlier
image."""


class Manifest(msgspec.Struct, kw_only=True):
    """``manifest.json``: which job is which condition, in every cycle (F5)."""

    schema_version: Literal[1] = 1
    experiment_id: str
    experiment_name: str
    config_file: str
    created_at: Time
    is_replay: bool = False
    factors: dict[str, list[Level]]
    inner_factors: dict[str, list[Level]] = msgspec.field(default_factory=dict)
    skypilot_yaml: str
    task: str | None = None
    """Absolute path given with ``--task``; None = the config names it."""
    study_keys: dict[str, Any] = msgspec.field(default_factory=dict)
    """As in ``Experiment``."""
    env_file: str | None = None
    """Absolute path of the env file, which is read again for each launch."""
    env_file_names: list[str] = msgspec.field(default_factory=list)
    """Names of its variables; their values are never stored."""
    docker_image: str | None = None
    docker_digest: str | None = None
    docker_digest_source: DigestSource | None = None
    """How ``docker_digest`` is known; None = it is not, or an earlier fmon wrote it."""
    written_levels: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """As in ``Experiment``: the variables of its jobs have these texts."""
    env_names: dict[str, str] = msgspec.field(default_factory=dict)
    fixed: dict[str, str] = msgspec.field(default_factory=dict)
    """As in ``Experiment``."""
    patterns: list[Pattern] = msgspec.field(default_factory=list)
    """The user's own failure patterns."""
    kill_switch: Literal["alert", "act"] = "alert"
    """Whether ``watch`` and ``run`` carry out what the kill switch proposes, or a person does."""
    max_failed_ratio: Ratio | None = None
    """If more conditions fail, jobs that have not started are stopped; None = no limit."""
    mlflow: Tracking | None = None
    user_hash: str | None = None
    """SkyPilot's id of the user whose jobs these are; None until the first job is attached."""
    api_servers: dict[str, str] = msgspec.field(default_factory=dict)
    """Addresses of the SkyPilot API server that has its jobs, each with its id; "" = unknown."""
    since: Time | None = None
    """Jobs submitted before this never belong to the experiment (``adopt --since``)."""
    adopted_names: dict[JobKey, str] = msgspec.field(default_factory=dict)
    """Names of jobs that were adopted by their variables, if they differ from the condition's job name."""
    rejected_jobs: dict[JobKey, str] = msgspec.field(default_factory=dict)
    """Names of jobs with the name of a condition but different variables, which never belong to it."""
    max_conditions: Count = MAX_CONDITIONS
    """The limit with which its config was accepted (``--max-conditions``)."""
    submit_until: Time | None = None
    """Time until which conditions stay queued, which keeps the experiment open; None = none is queued."""
    max_relaunch_cycles: Count = 2
    current_cycle: Count = 0
    expected_job_count: Count
    total_estimated_cost: float | None = None
    """Estimate of ``plan`` for one job of each condition [USD]; None = unknown, or a replay."""
    total_cost_usd: float | None = None
    """Known cost of all its jobs in all cycles, as of ``as_of`` [USD]; None = no cost is known."""
    limits: Limits = msgspec.field(default_factory=Limits)
    prices: dict[str, Price] = msgspec.field(default_factory=dict)
    controller_usd_per_h: float | None = None
    """As in ``Experiment``."""
    as_of: Time | None = None
    """Time of ``total_cost_usd`` and of ``status`` to ``failure_root_cause`` of the entries; None = never."""
    reported_costs: dict[JobKey, Usd] = msgspec.field(default_factory=dict)
    """Cost of ended jobs in SkyPilot's own cost report, by job_id as text: JSON has no other keys."""
    reported_as_of: Time | None = None
    jobs: list[Entry]


class Record(msgspec.Struct, kw_only=True):
    """One job task as the queue returned it once: SkyPilot's record, typed and limited to these fields.

    ``job_key`` is the id until ``manifest.identity`` knows better.

    Times are microseconds since the epoch, UTC. The field names are columns of the
    source relation ``snapshot`` (see ``schema.SNAPSHOT``). A change of a field down to ``invalid_fields``
    adds a row (``store.changes``); a change of the others does not.
    """

    job_key: int = -1
    task_id: int = 0
    job_id: int
    job_name: str | None = None
    task_name: str | None = None
    status: str
    submitted_at: int | None = None
    start_at: int | None = None
    end_at: int | None = None
    last_recovered_at: int | None = None
    recovery_count: int | None = None
    details: str | None = None
    failure_reason: str | None = None
    resources: str | None = None
    machine: str | None = None
    """The job's current machine, as SkyPilot describes it; None = none, or not reported."""
    has_machine: bool | None = None
    """None = not reported."""
    schedule_state: str | None = None
    cloud: str | None = None
    region: str | None = None
    zone: str | None = None
    infra: str | None = None
    user_name: str | None = None
    user_hash: str | None = None
    workspace: str | None = None
    invalid_fields: str | None = None
    """Names of the times and durations left out because their values are impossible."""
    job_duration_s: float | None = None
    price_usd_per_h: float | None = None
    price_source: str | None = None
    fmon_experiment: str | None = None
    fmon_condition: str | None = None
    fmon_cycle: int | None = None
    """From the metadata of a job that fmon launched; not stored, since the manifest has it."""

    def __post_init__(self) -> None:
        if self.job_key < 0:
            self.job_key = self.job_id
