# ruff: noqa: E501
"""Same signature = identical error: what may differ between two runs is masked, what tells errors apart is not."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.causes import analyze_logs
from tests.corpus.embed import embed
from tests.corpus.score import items

FRAME = '  File "{folder}/train.py", line {line}, in step\n    loss = run(x)\n'
ERRORS = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {n}.00 MiB. GPU {rank} has a total capacity of "
    "21.96 GiB of which {n}.06 MiB is free. Process {pid} has 21.92 GiB memory in use.",
    "FileNotFoundError: [Errno 2] No such file or directory: '{folder}/splits/3fold.json'",
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='{host}', port=443): Max retries exceeded with url: "
    "/{uuid}/x (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at {hex}>: Failed to "
    "establish a new connection: [Errno 111] Connection refused'))",
    "RuntimeError: The size of tensor a ({n}) must match the size of tensor b ({pid}) at non-singleton dimension 3",
    "ValueError: run {uuid} on {host} has no fold {rank}",
    "KeyError: 'val_dice'",
)

values = st.fixed_dictionaries(
    {
        "n": st.integers(1, 10**6),
        "rank": st.integers(0, 63),
        "pid": st.integers(2, 4_000_000),
        "line": st.integers(1, 5000),
        "folder": st.sampled_from(
            ["/home/ana/study", "/mnt/scratch/u12/run-7", "/root/sky_workdir", "/opt/x/y/z"]
        ),
        "host": st.sampled_from(["node1", "gpu-a-17.cluster.local", "ip-10-0-3-7", "data.example.com"]),
        "uuid": st.uuids().map(str),
        "hex": st.integers(2**20, 2**47).map(hex),
    }
)


def log_of(error: str, value: dict, *, stamp: str = "", prefix: str = "") -> str:
    text = "Traceback (most recent call last):\n" + FRAME.format(**value) + error.format(**value)
    return "".join(f"{stamp}{prefix.format(**value)}{line}\n" for line in text.split("\n"))


def signature(text: str) -> str:
    return analyze_logs(text, "FAILED").signature


@pytest.mark.parametrize("error", ERRORS)
@given(one=values, other=values)
@settings(max_examples=15, deadline=None)
def test_other_numbers_paths_hosts_and_ids_are_the_same_error(error, one, other):
    if "{host}" in error:  # a host is masked where it looks like one or stands behind host=
        one, other = one | {"host": "gpu-a-17.cluster.local"}, other | {"host": "data.example.com"}
    assert signature(log_of(error, one)) == signature(log_of(error, other))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("stamp", "prefix"),
    [
        ("", "(seg-f0, pid={pid}) "),
        ("", "\x1b[36m(seg-f0, rank={rank}, pid={pid}, ip=10.0.0.7)\x1b[0m "),
        ("", "[rank{rank}]: "),
        ("", "[default{rank}]:"),
        ("2026-03-22T05:08:00.123456789Z ", ""),
        ("2026-03-22T05:08:00.123456789Z ", "[rank{rank}]: "),
    ],
)
def test_prefixes_and_times_are_no_part_of_an_error(error, stamp, prefix):
    value = {
        "n": 82,
        "rank": 3,
        "pid": 31_000,
        "line": 17,
        "folder": "/home/ana/study",
        "host": "gpu-a-17.cluster.local",
        "uuid": "5c1e0f6a-18d7-4cbf-a882-a291b1abd4b4",
        "hex": "0x7f0b2ab1c0d0",
    }
    bare = signature(log_of(error, value))
    assert signature(log_of(error, value, stamp=stamp, prefix=prefix)) == bare


def test_each_of_these_errors_has_a_signature_of_its_own():
    value = {
        "n": 8,
        "rank": 1,
        "pid": 99,
        "line": 5,
        "folder": "/a",
        "host": "b.c.d",
        "uuid": "u",
        "hex": "0x1f",
    }
    texts = [log_of(error, value) for error in ERRORS]
    assert len({signature(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ModuleNotFoundError: No module named 'isaaclab'", "ModuleNotFoundError: No module named 'monai'"),
        ("KeyError: 'label'", "KeyError: 'image'"),
        ("AttributeError: 'NoneType' object has no attribute 'copy_'", "AttributeError: 'NoneType' object has no attribute 'shape'"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a/train.json'", "FileNotFoundError: [Errno 2] No such file or directory: 'a/val.json'"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/d/3fold.json'", "FileNotFoundError: [Errno 2] No such file or directory: '/d/5fold.json'"),
        ("TypeError: forward() got an unexpected keyword argument 'mask'", "ValueError: forward() got an unexpected keyword argument 'mask'"),
        ("NameError: name 'foo' is not defined", "NameError: name 'bar' is not defined"),
        ("requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://h.example.com/x", "requests.exceptions.HTTPError: 413 Client Error: Request Entity Too Large for url: https://h.example.com/x"),
        ("AssertionError: folds overlap", "AssertionError: labels are empty"),
    ],
)  # fmt: skip
def test_what_tells_two_errors_apart_is_not_masked(one, other):
    value = {"line": 5, "folder": "/home/ana"}
    assert signature(log_of(one, value)) != signature(log_of(other, value))


def test_the_same_message_from_another_file_of_the_project_is_another_error():
    text = "Traceback (most recent call last):\n" + FRAME + "ValueError: bad fold"
    one = text.format(folder="/home/ana/study", line=5)
    assert signature(one) != signature(one.replace("train.py", "evaluate.py"))


@pytest.mark.parametrize("category", ["code_bug", "import_error", "cuda_oom", "data_missing", "shell_error"])
def test_an_item_in_another_log_keeps_its_signature(category):
    corpus = [
        item for item in items("failures") if item["category"] == category and item["status"] == "FAILED"
    ]
    differing = []
    for item in corpus[:8]:
        wrapped = [
            analyze_logs(embed(item, variant).text, "FAILED") for variant in ("sky", "plain", "stamped")
        ]
        if len({info.signature for info in wrapped}) > 1:
            differing.append((item["id"], [(info.rule, info.message) for info in wrapped]))
    assert differing == []


def moved(text: str, rng: random.Random) -> str:
    """The same failure on another day: sizes, process ids, addresses and home folders changed."""

    def other(match: re.Match[str]) -> str:
        return f"{rng.randrange(2, 99)}.{rng.randrange(10, 99)} {match['unit']}"

    text = re.sub(r"\b\d+(?:\.\d+)? (?P<unit>[GM]iB)\b", other, text)
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", lambda _: hex(rng.randrange(2**40, 2**44)), text)
    text = re.sub(r"\b(pid[ :=]+)\d+", lambda found: f"{found[1]}{rng.randrange(300, 90_000)}", text)
    text = re.sub(r"\b10\.\d+\.\d+\.\d+\b", f"10.7.{rng.randrange(255)}.{rng.randrange(255)}", text)
    return text.replace("/home/user/", f"/mnt/lab{rng.randrange(9)}/people/p{rng.randrange(99)}/")


def test_an_item_on_another_machine_keeps_its_signature():
    rng, differing = random.Random(3), []
    for item in items("failures"):
        one, other = (analyze_logs(text, item["status"]) for text in (item["text"], moved(item["text"], rng)))
        if (one.signature, one.root_cause_id) != (other.signature, other.root_cause_id):
            differing.append((item["id"], one.message, other.message))
    assert differing == []


@pytest.mark.parametrize("megabytes", [1, 9])
def test_where_a_reader_of_a_long_log_cuts_is_no_part_of_an_error(megabytes):
    frames = "".join(f'  File "/w/study/m{k}.py", line {k}, in f{k}\n    g{k}()\n' for k in range(6))
    failure = f"Traceback (most recent call last):\n{frames}RuntimeError: Error(s) in loading state_dict for Net:\n\tsize\n"
    bare, filler = analyze_logs(failure, "FAILED"), "wandb: uploaded 0.1 MB of 9.9 MB\n" * (300_000)
    for cut in range(0, len(failure), 97):
        after = filler[-((megabytes << 20) - cut) :]
        info = analyze_logs("first\n" * 7 + failure + after, "FAILED")
        assert (info.signature, info.files) == (bare.signature, bare.files), cut
        assert info.evidence_line == bare.evidence_line + 7
