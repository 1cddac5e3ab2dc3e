"""The keys of a config and the type of each."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from fmon.config.placeholders import VARIABLE
from fmon.config.source import Loc, Source
from fmon.errors import ConfigError
from fmon.model import CONDITION_TAG, JOB_TAG, MAX_PARALLEL, level_text
from fmon.text import nearest
from fmon.written import BooleanKey

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number, not negative."""
Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=f"^{VARIABLE}$")]
"""A valid name of an environment variable."""


def _scalar(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | BooleanKey):
        return value
    message = "it must be text, a number or true/false"
    raise ValueError(message)


def _optional_scalar(value: Any) -> Any:
    return None if value is None else _scalar(value)


Scalar = Annotated[Any, AfterValidator(_scalar)]
"""Text, a number or true/false; a union would report one error for each of its types."""
OptionalScalar = Annotated[Any, AfterValidator(_optional_scalar)]


Names = Annotated[list[Text], Field(min_length=1)]


MAX_DURATION_S = 365 * 86400.0
_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[mhd])")


def duration_s(value: str | float) -> float:
    """Return a duration in seconds: a number of hours, or text with its unit.

    Examples
    --------
    >>> duration_s("90m"), duration_s("7d"), duration_s(0.5)
    (5400.0, 604800.0, 1800.0)
    """
    seconds = -1.0
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        seconds = float(found["number"]) * _UNITS_S[found["unit"]] if found else seconds
    elif not isinstance(value, bool) and isinstance(value, int | float):
        seconds = value * _UNITS_S["h"]
    if 0 <= seconds <= MAX_DURATION_S:
        return seconds
    message = "it must be a duration such as 90m, 12h or 7d, or a number of hours, and at most 365d"
    raise ValueError(message)


def _duration(value: Any) -> Any:
    duration_s(value)
    return value


Duration = Annotated[Any, AfterValidator(_duration)]
"""A number of hours, or text such as 90m, 12h, 7d."""


class _Keys(BaseModel):
    """A mapping in the config: only known keys, YAML's own types, no conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ExpectKeys(_Keys):
    """Expected run time of a job [minutes], in general and by factor level."""

    minutes: Ratio | None = None
    parallel: Annotated[int, Field(ge=1)] | None = None
    by: dict[str, dict[Scalar, Ratio]] = {}


class LimitsKeys(_Keys):
    """Thresholds of the alarms and limits of a launch."""

    budget_usd: Amount | None = None
    max_hourly_usd: Amount | None = None
    accelerators: Names | None = None
    clouds: Names | None = None
    regions: Names | None = None
    pending_minutes: Amount = 30
    starting_minutes: Amount = 10
    overrun_factor: Ratio = 3
    flapping: Annotated[int, Field(ge=0)] = 5


class LaunchKeys(_Keys):
    """How jobs are submitted: how many, how fast, and for how long after a refusal."""

    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL)] = 8
    per_minute: Ratio = 60
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    backoff_s: Ratio = 10
    retry_interval_s: Ratio = 300
    give_up_after: Duration = "168h"


class PriceKeys(_Keys):
    """Price of one accelerator [USD/h]."""

    spot: Amount | None = None
    on_demand: Amount | None = None


CONTROLLER = "controller"
"""The key of ``prices`` for the jobs controller, whose price is one number."""


def _prices(value: Any) -> Any:
    """Write the price of the jobs controller like the others."""
    if not isinstance(value, dict) or CONTROLLER not in value:
        return value
    price = value[CONTROLLER]
    if isinstance(price, dict) or price is None:
        message = f"{CONTROLLER} has one price, such as {CONTROLLER}: 0.05 [USD/h]"
        raise ValueError(message)
    return {**value, CONTROLLER: {"on_demand": price}}


class OverrideKeys(_Keys):
    """Settings for one factor level."""

    envs: dict[Variable, Scalar] = {}
    resources: dict[str, Any] = {}


class VerifyKeys(_Keys):
    """The commands that F3 runs, in this order, and how many commits a fix may have."""

    tests: Text | None = None
    build: Text | None = None
    push: Text | None = None
    max_commits: Annotated[int, Field(ge=1)] = 1


class MlflowKeys(_Keys):
    """Where MLflow keeps the runs of the jobs, and which metrics to read."""

    tracking_uri: Text | None = None
    experiment: Text
    metrics: list[Text] = []
    condition_tag: Text = CONDITION_TAG
    job_tag: Text = JOB_TAG


class PatternKeys(_Keys):
    """One failure pattern of the user."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
    regex: Text
    category: Text
    subcategory: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")] | None = None
    confidence: Annotated[float, Field(gt=0, le=1)] = 0.9
    veto: Text | None = None


class EnvKeys(_Keys):
    """The variable of a key of the config, and its value if the config lacks the key."""

    name: Variable
    default: Any = None


def _variable(value: Any) -> EnvKeys | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return EnvKeys.model_validate(value)
    if isinstance(value, str) and re.fullmatch(VARIABLE, value):
        return EnvKeys(name=value)
    message = "it must be the name of a variable, or {name: VARIABLE, default: VALUE}"
    raise ValueError(message)


class ConfigKeys(_Keys):
    """All keys of fmon's form."""

    experiment_name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")]
    skypilot_yaml: Text | None = None
    factors: dict[Any, Any]
    inner_factors: dict[Any, Any] = {}
    exclude: list[dict[Any, Any]] = []
    baselines: list[dict[Any, Any]] = []
    envs: dict[str, Annotated[EnvKeys | None, BeforeValidator(_variable)]] = {}
    overrides: dict[str, dict[Scalar, OverrideKeys]] = {}
    fixed: dict[Variable, Scalar] = {}
    expect: ExpectKeys = ExpectKeys()
    limits: LimitsKeys = LimitsKeys()
    launch: LaunchKeys = LaunchKeys()
    prices: Annotated[dict[Text, PriceKeys], BeforeValidator(_prices)] = {}
    job_name: Text | None = None
    docker_image: Text | None = None
    region_config: Text | None = None
    undeclared: list[Variable] = []
    allow_variables: list[Variable] = []
    preflight: list[Text] = []
    verify: VerifyKeys = VerifyKeys()
    kill_switch: Literal["alert", "act"] = "alert"
    max_failed_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    patterns: list[dict[str, Any]] = []
    mlflow: MlflowKeys | None = None


class BaselineKeys(_Keys):
    """The keys of a baseline apart from its factor levels; an empty value unsets a variable or resource."""

    envs: dict[Variable, OptionalScalar] = {}
    resources: dict[str, Any] = {}
    job_name: Text | None = None


class ZeroShotKeys(BaseModel):
    """A baseline of the study's form: one condition per fold."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    model: Text
    folds: Annotated[int, Field(ge=1)] | None = None
    dataset: Any = None


class InfrastructureKeys(BaseModel):
    """The keys of the study's ``infrastructure`` that fmon reads; it may have any others."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    skypilot_yaml: Text | None = None
    region_config: Text | None = None
    max_wait_hours: Any = None
    retry_interval_seconds: Any = None


class StudyKeys(BaseModel):
    """The keys of the study's form that fmon reads; the file may have any others."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    factors: dict[Any, Any]
    fixed: dict[str, Any] = {}
    zero_shot_baselines: list[ZeroShotKeys] = []
    model_overrides: dict[Scalar, dict[str, Scalar]] = {}
    mlflow: dict[str, Any] = {}
    infrastructure: InfrastructureKeys = InfrastructureKeys()
    baselines: list[dict[Any, Any]] = []
    envs: dict[str, Any] = {}
    overrides: dict[Any, Any] = {}
    launch: dict[Any, Any] = {}


Keys = TypeVar("Keys", bound=BaseModel)

_KEYS_OF: dict[str, type[BaseModel]] = {
    "envs": EnvKeys,
    "expect": ExpectKeys,
    "limits": LimitsKeys,
    "launch": LaunchKeys,
    "prices": PriceKeys,
    "overrides": OverrideKeys,
    "verify": VerifyKeys,
    "mlflow": MlflowKeys,
}
_PLANNED = frozenset({"notify", "registry"})
"""Keys that have no effect yet: accepting them would suggest that they work."""

_HINTS = {
    "experiment_name": "lower-case letters, digits and _ only (it becomes part of the experiment's id)",
    "envs": "envs maps a factor or a key to the name of an environment variable, such as model: MODEL_FAMILY",
    "prices": "write prices as {L4: {spot: 0.22, on_demand: 0.70}, controller: 0.05} [USD/h]",
    "limits.accelerators": "write a list such as [L4]",
    "limits.clouds": "write a list such as [gcp]",
    "limits.regions": "write a list such as [us-central1]",
    "preflight": "write a list of commands such as [make check-data]",
    "factors": "write factors as {name: [level, level]}",
}


def check_keys(kind: type[Keys], value: dict[Any, Any], source: Source, *at: Any) -> Keys:
    """Validate one mapping; report the first error, unknown keys before all others, in one sentence.

    Parameters
    ----------
    kind
        The keys it may have.
    value
        The mapping.
    source
        The config that contains it.
    at
        Its location in the config.
    """
    # An empty value (`exclude:`) means the same as no key; a required key is then missing.
    present = {key: each for key, each in value.items() if each is not None or key not in kind.model_fields}
    try:
        return kind.model_validate(present)
    except ValidationError as fault:
        errors = sorted(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
        raise _fault(errors[0], kind, source, at) from fault


def _fault(error: ErrorDetails, kind: type[BaseModel], source: Source, at: Loc) -> ConfigError:
    """Turn one of pydantic's errors into one sentence with its line."""
    inner = tuple(step for step in error["loc"] if step != "[key]")
    loc = (*at, *inner)
    name = source.name(*loc)
    if error["type"] == "extra_forbidden":
        if inner[0] in _PLANNED and issubclass(kind, ConfigKeys):
            return source.fault(f"key {name!r} is not supported yet; remove it", *loc)
        keys = _KEYS_OF[str(inner[0])] if len(inner) > 1 else kind
        return source.fault(f"unknown key {name!r}; {nearest(inner[-1], keys.model_fields)}", *loc)
    if error["type"] == "missing":
        return source.fault(f"key {name!r} is missing", *loc[:-1])
    hint = _HINTS.get(".".join(map(str, inner[:2]))) or _HINTS.get(str(inner[0]))
    reason = error["msg"].removeprefix("Value error, ")
    reason = reason.replace("Input should be", "it must be").replace("String should", "it should")
    return source.fault(f"{name} is {shown(error['input'])}: {reason}" + (f"; {hint}" if hint else ""), *loc)


def shown(value: object) -> str:
    """Return a value as YAML writes it, shortened."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool | int | float):
        return level_text(value)[:80]
    return "empty" if value is None else repr(value)[:80]
