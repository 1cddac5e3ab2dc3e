"""The conditions of a config as the study's launcher submits them: names, variables, changed resources.

This is the expectation that fmon is held against, so it imports nothing of fmon. It knows this one study and
no other. ``python -m tests.study.launcher_rules`` rewrites ``tests/study/golden``; review the diff.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
FILES = FOLDER / "files"
GOLDEN = FOLDER / "golden"
TASK = FILES / "deployment/skypilot/train_factorial.yaml"
REGIONS = FILES / "configs/cloud/regions"
CONFIGS = {
    path.stem: path
    for folder in ("factorial", "experiment", "hpo")
    for path in sorted((FILES / "configs" / folder).glob("*.yaml"))
}
"""The seven configs by the name of their golden file."""

Condition = dict[str, Any]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def conditions(config: dict[str, Any], regions: Path, cloud: str) -> list[Condition]:
    """Return the conditions in the launcher's order: the grid, then the baselines; folds innermost.

    Parameters
    ----------
    config
        The study's config, layered (``factors.training``) or flat.
    regions
        The folder of the region files.
    cloud
        The cloud that the task asks for.
    """
    ordered = region_resources(config, regions, cloud)
    return [*grid(config, ordered), *baselines(config, ordered)]


def grid(config: dict[str, Any], ordered: dict[str, Any]) -> list[Condition]:
    factors = config["factors"].get("training", config["factors"])
    cells = [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())]
    return [cell(config, ordered, levels, fold) for levels in cells for fold in folds(config)]


def cell(config: dict[str, Any], ordered: dict[str, Any], levels: dict[str, Any], fold: int) -> Condition:
    model, loss, aux = levels["model_family"], levels["loss_name"], text(levels["aux_calibration"])
    on_demand = config.get("model_overrides", {}).get(model, {}).get("use_spot") is False
    return {
        "job_name": f"{model}-{loss}-calib{aux}-f{fold}",
        "envs": {
            "MODEL_FAMILY": model,
            "LOSS_NAME": loss,
            "FOLD_ID": text(fold),
            "WITH_AUX_CALIB": aux,
            "MAX_EPOCHS": text(fixed(config, "max_epochs", 50)),
            **volumes(config),
            "EXPERIMENT_NAME": config["experiment_name"],
            "POST_TRAINING_METHODS": ",".join(methods(config)),
            **batches(config, model),
            "GRADIENT_CHECKPOINTING": text(of_model(config, model, "gradient_checkpointing", False)),
        },
        "resources": {**ordered, **({"use_spot": False} if on_demand else {})},
    }


def baselines(config: dict[str, Any], ordered: dict[str, Any]) -> list[Condition]:
    listed = config.get("zero_shot_baselines", [])
    return [baseline(config, ordered, entry, fold) for entry in listed for fold in folds(config)]


def baseline(config: dict[str, Any], ordered: dict[str, Any], entry: dict[str, Any], fold: int) -> Condition:
    """Return one fold of a baseline: it has no checkpointing, and runs on spot as the task says."""
    model, named = entry["model"], entry.get("dataset", "minivess")
    datasets = [named] if isinstance(named, str) else named
    return {
        "job_name": f"{model}-zeroshot-{'-'.join(datasets)}-f{fold}",
        "envs": {
            "MODEL_FAMILY": model,
            "LOSS_NAME": "none",
            "FOLD_ID": text(fold),
            "WITH_AUX_CALIB": "false",
            "MAX_EPOCHS": "0",
            **volumes(config),
            "EXPERIMENT_NAME": config["experiment_name"],
            "POST_TRAINING_METHODS": "none",
            "ZERO_SHOT": "true",
            "EVAL_DATASET": ",".join(datasets),
            **batches(config, model),
        },
        "resources": dict(ordered),
    }


def folds(config: dict[str, Any]) -> range:
    return range(fixed(config, "num_folds", 3))


def volumes(config: dict[str, Any]) -> dict[str, str]:
    return {
        f"MAX_{part.upper()}_VOLUMES": text(fixed(config, f"max_{part}_volumes", 0))
        for part in ("train", "val")
    }


def methods(config: dict[str, Any]) -> list[str]:
    """Return the inner factor's levels where the file is layered, else the flat list."""
    default = ["none", "swag"]
    if "post_training" in config["factors"]:
        return config["factors"]["post_training"].get("method", default)
    return config.get("post_training", {}).get("methods", default)


def batches(config: dict[str, Any], model: str) -> dict[str, str]:
    return {
        "BATCH_SIZE": text(of_model(config, model, "batch_size", 2)),
        "GRAD_ACCUM_STEPS": text(of_model(config, model, "gradient_accumulation_steps", 1)),
    }


def of_model(config: dict[str, Any], model: str, key: str, default: object) -> object:
    return config.get("model_overrides", {}).get(model, {}).get(key, fixed(config, key, default))


def fixed(config: dict[str, Any], key: str, default: Any) -> Any:
    return config.get("fixed", {}).get(key, default)


def region_resources(config: dict[str, Any], regions: Path, cloud: str) -> dict[str, Any]:
    """Return ``ordered``: the region file's entries for the cloud in its order, one accelerator each."""
    name = config.get("infrastructure", {}).get("region_config")
    if name is None:
        return {}
    by_accelerator = load(regions / f"{name}.yaml")["regions"][cloud]
    return {
        "ordered": [
            {"accelerators": f"{accelerator}:1", "region": entry["region"]}
            for accelerator, entries in by_accelerator.items()
            for entry in entries
        ]
    }


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def rendered(config: Path) -> str:
    """Return the golden file of a config: JSON, one condition per line."""
    expected = conditions(load(config), REGIONS, load(TASK)["resources"]["cloud"])
    return "[\n" + ",\n".join(json.dumps(condition) for condition in expected) + "\n]\n"


def main() -> None:
    for name, config in CONFIGS.items():
        (GOLDEN / f"{name}.json").write_text(rendered(config), encoding="utf-8")


if __name__ == "__main__":
    main()
