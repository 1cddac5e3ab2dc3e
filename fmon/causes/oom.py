"""What filled the GPU, by the numbers of torch's own message.

The hints in the message tell nothing: torch prints the one about fragmentation every time, and in a
container it calls the job itself "Process 4711".
"""

import re

_SIZE = r"(\d{1,9}(?:\.\d{1,4})?) ([KMG]?)i?B"
_ASKED = re.compile(rf"Tried to allocate {_SIZE}")
_ALLOCATED = re.compile(rf"{_SIZE} already allocated")
_RESERVED = re.compile(rf"{_SIZE} reserved in total by PyTorch")
_UNALLOCATED = re.compile(rf"{_SIZE} is reserved by PyTorch but unallocated")
_OTHER = re.compile(rf"Process \d{{1,9}} has {_SIZE} memory in use")
_SCALE = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def kind_of_oom(message: str) -> str | None:
    """Say what kind of out-of-memory error torch reports.

    Parameters
    ----------
    message : the message, as printed

    Returns
    -------
    str | None
        ``torch_other_process`` where others hold what was asked for, ``torch_fragmentation`` where
        torch itself holds as much unused, None where the message says neither.

    Examples
    --------
    >>> kind_of_oom("Tried to allocate 2.00 GiB. 9.12 GiB is reserved by PyTorch but unallocated.")
    'torch_fragmentation'
    """
    message = message[:4000]
    asked = _size(_ASKED, message)
    if asked is None:
        return None
    unused = _size(_UNALLOCATED, message)
    reserved, allocated = _size(_RESERVED, message), _size(_ALLOCATED, message)
    if unused is None and reserved is not None and allocated is not None:
        unused = reserved - allocated
    others = sum(float(number) * _SCALE[unit] for number, unit in _OTHER.findall(message))
    # With its own share told apart, the processes named are really others.
    if "this process has" in message and others >= asked:
        return "torch_other_process"
    return "torch_fragmentation" if unused is not None and unused >= asked else None


def _size(pattern: re.Pattern[str], message: str) -> float | None:
    """Give the size that a pattern finds [B]."""
    found = pattern.search(message)
    return None if found is None else float(found.group(1)) * _SCALE[found.group(2)]
