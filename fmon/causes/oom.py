"""Find out what filled the GPU, from the numbers in torch's own message.

The hints in the message are no evidence: torch prints the one about fragmentation every time, and in a
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
    """Return which kind of out-of-memory error torch reports.

    Parameters
    ----------
    message
        The message as printed.

    Returns
    -------
    str | None
        ``torch_other_process`` if other processes hold the requested amount, ``torch_fragmentation`` if
        torch itself holds as much unused, None if neither is known.

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
    # Only if the message names its own share are the listed processes other ones.
    if "this process has" in message and others >= asked:
        return "torch_other_process"
    return "torch_fragmentation" if unused is not None and unused >= asked else None


def _size(pattern: re.Pattern[str], message: str) -> float | None:
    """Return the size that a pattern finds [B]."""
    found = pattern.search(message)
    return None if found is None else float(found.group(1)) * _SCALE[found.group(2)]
