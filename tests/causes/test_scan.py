"""Lines worth reading: the same ones whatever finds them, and never more memory than some windows."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.causes import literals
from fmon.causes.literals import LITERALS, PROGRESS
from fmon.causes.scan import read_window

words = st.sampled_from([*LITERALS, *PROGRESS, "epoch 3", " 40%|████  | 4/9", "\n", "\r", "x", " ", "\xff"])
cased = st.tuples(words, st.sampled_from([str.lower, str.upper, str.title])).map(
    lambda pair: pair[1](pair[0])
)
texts = st.lists(cased, max_size=60).map(lambda parts: "".join(parts).encode())


@pytest.fixture(params=["hyperscan", "re2"])
def engine(request, monkeypatch):
    """Run with one of the two libraries."""
    if request.param == "hyperscan":
        pytest.importorskip("hyperscan")
    else:
        monkeypatch.setattr(literals, "_hyperscan", lambda: None)
    return request.param


@pytest.mark.slow
@given(texts, st.booleans())
@settings(max_examples=200, deadline=None)
def test_both_libraries_find_the_same_lines_and_steps(text, goes_on):
    pytest.importorskip("hyperscan")
    seen = [{}, {}]
    with pytest.MonkeyPatch.context() as patch:
        blocks = [read_window(text, 0, len(text), seen=seen[0], goes_on=goes_on)]
        patch.setattr(literals, "_hyperscan", lambda: None)
        blocks.append(read_window(text, 0, len(text), seen=seen[1], goes_on=goes_on))
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("literal", LITERALS)
def test_every_literal_is_found_in_any_case(engine, literal):
    for word in (literal, literal.upper(), literal.title()):
        found = []
        part = memoryview(b"epoch 1\n" + word.encode("latin-1") + b"\n")
        literals.find(part, LITERALS, lambda start, end, found=found: found.append(start) or end)
        assert found, (engine, word)


def test_steps_are_listed_once_each_and_not_those_of_the_summary(engine):
    text = (
        b"epoch 1 loss 0.5\n 40%|####  | 4/10\nstep=7\nepoch 1 loss 0.5\nwandb:   epoch 9\n"
        b"timestep 8\nEpoch 2/9\nbatch number\n"
    )
    block = read_window(text, 0, len(text))
    steps = [text[offset : offset + 6] for offset in block.progress]
    assert steps == [b"epoch ", b"%|####", b"step=7", b"Epoch "], engine


@pytest.mark.slow
def test_a_log_larger_than_the_memory_allowed_is_read_in_it(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"ModuleNotFoundError: No module named 'monai'\n")
        file.truncate(400 << 20)
    code = (
        "import mmap, resource, sys\n"
        "from fmon.causes import analyze_logs\n"
        "analyze_logs('warm up', 'FAILED')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open(sys.argv[1], 'rb') as file, mmap.mmap(file.fileno(), 0, prot=1) as text:\n"
        "    assert analyze_logs(text, 'FAILED').category == 'import_error'\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) < 40 << 10, "kB above what the program needs for a log of one line"
