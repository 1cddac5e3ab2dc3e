"""Hourly prices of the machines of jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from fmon.errors import QueueError
from fmon.model import Price, Record
from fmon.sky.sdk import ask_worker

if TYPE_CHECKING:
    from collections.abc import Mapping

CATALOG_TIMEOUT_S = 90.0
Catalog = Callable[[Iterable[str]], dict[str, Price]]
"""Gives the prices that it knows, by accelerator."""

_NODES = re.compile(r"\s*(\d{1,6})\s?x")
_SPOT = re.compile(r"\[(on-demand\|)?spot\]", re.IGNORECASE)
_ACCELERATOR = re.compile(
    r"(?:(?<=[\[({, ])|(?<=gpus=))'?([A-Za-z][\w.-]{0,63})'?:\s?"
    r"(\d{1,6}(?:\.\d{1,6})?)\+?(?=[\])}, ]|$)"
)
_CPUS = re.compile(r"(?<=[( ])cpus=(\d{1,6}(?:\.\d{1,6})?)(?=[,)])")


class Machine(NamedTuple):
    """The machine that a resources string requests; several ``choices`` = any of them."""

    choices: tuple[tuple[str, float], ...]
    """(accelerator, count per node); CPU counts as an accelerator."""
    nodes: int
    is_spot: bool | None
    """None = the request allows both."""


def parse_resources(text: str) -> Machine | None:
    """Parse a resources string of SkyPilot.

    Parameters
    ----------
    text
        ``2x[L4:1][Spot]``, ``1x[L4:1, A100:8][On-demand|Spot]``, ``1x[CPU:4+]``, ``1x[spot](gpus=L4:1,
        g2-standard-4, ...)``, ``1x(cpus=4, mem=16, m6i.xlarge, ...)``, ``1x AWS(g4dn.xlarge[Spot], {'T4':
        1})``.

    Returns
    -------
    Machine or None
        None if the text names neither accelerators nor CPUs.

    Examples
    --------
    >>> parse_resources("2x[L4:1][Spot]")
    Machine(choices=(('L4', 1.0),), nodes=2, is_spot=True)
    """
    choices = dict.fromkeys((name, float(count)) for name, count in _ACCELERATOR.findall(text))
    if not choices:
        cpus = _CPUS.search(text)
        if cpus is None:
            return None
        choices = {("CPU", float(cpus[1])): None}
    nodes = _NODES.match(text)
    spot = _SPOT.search(text)
    is_spot = None if spot and spot[1] else spot is not None
    return Machine(choices=tuple(choices), nodes=int(nodes[1]) if nodes else 1, is_spot=is_spot)


def price_of(record: Record, prices: Mapping[str, Price]) -> tuple[float | None, str | None]:
    """Return the price of the machines that a job has or, if the queue does not name them, requests.

    Parameters
    ----------
    record
        The job.
    prices
        Prices per accelerator, by name; case is ignored.

    Returns
    -------
    price, source
        [USD/h] for all nodes; (None, None) = unknown: there is no price, or SkyPilot has not chosen yet
        between machines of different prices. A request that allows spot and on-demand counts as
        on-demand, which is more expensive.
    """
    text = record.machine or record.resources
    machine = parse_resources(text) if text else None
    if machine is None:
        return None, None
    by_name = {name.lower(): price for name, price in prices.items()}
    found = {_price(by_name.get(name.lower()), count, machine) for name, count in machine.choices}
    return found.pop() if len(found) == 1 else (None, None)


def _price(price: Price | None, count: float, machine: Machine) -> tuple[float | None, str | None]:
    """Return the price of one choice."""
    each = None if price is None else price.spot if machine.is_spot else price.on_demand
    if price is None or each is None:
        return None, None
    return each * count * machine.nodes, price.source


def catalog_prices(accelerators: Iterable[str], *, ask: Callable[..., Any] = ask_worker) -> dict[str, Price]:
    """Ask SkyPilot for the prices of accelerators on its enabled clouds.

    Parameters
    ----------
    accelerators
        Names as SkyPilot writes them.
    ask
        The function that runs a command of SkyPilot's worker.

    Returns
    -------
    dict
        Prices by accelerator, of those that have one: that of the cheapest region, or that in
        ``slurm.pricing`` and ``kubernetes.pricing`` of SkyPilot's config. Empty if SkyPilot does not
        answer in time.
    """
    names = sorted({name for name in accelerators if name.upper() != "CPU"})
    if not names:
        return {}
    try:
        found = ask("prices", *names, timeout_s=CATALOG_TIMEOUT_S)
        return {
            str(name): Price(spot=price["spot"], on_demand=price["on_demand"], source="catalog")
            for name, price in found.items()
            if price["spot"] is not None or price["on_demand"] is not None
        }
    except (QueueError, AttributeError, KeyError, TypeError):
        return {}
