"""Resources as SkyPilot writes them, and what they cost."""

import pytest

from fmon.errors import QueueError
from fmon.model import Price, Record
from fmon.sky.prices import Machine, catalog_prices, parse_resources, price_of

PRICES = {
    "L4": Price(spot=0.22, on_demand=0.70),
    "h100": Price(on_demand=2.5, source="catalog"),
    "A10G": Price(spot=0.22, on_demand=0.70),
}


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("1x[H100:1]", Machine((("H100", 1.0),), 1, is_spot=False)),
        ("4x[H100:8][Spot]", Machine((("H100", 8.0),), 4, is_spot=True)),
        ("1x[L4:0.5]", Machine((("L4", 0.5),), 1, is_spot=False)),
        ("1x[A100-80GB:8]", Machine((("A100-80GB", 8.0),), 1, is_spot=False)),
        ("1x[L4:1, A100:1][On-demand|Spot]", Machine((("L4", 1.0), ("A100", 1.0)), 1, is_spot=None)),
        ("1x[L4:1, L4:2]", Machine((("L4", 1.0), ("L4", 2.0)), 1, is_spot=False)),
        ("2x[CPU:4+]", Machine((("CPU", 4.0),), 2, is_spot=False)),
        ("1x(gpus=H100:1, ...)", Machine((("H100", 1.0),), 1, is_spot=False)),
        ("2x[spot](gpus=L4:1, g2-standard-4, ...)", Machine((("L4", 1.0),), 2, is_spot=True)),
        ("1x(gcp, L4:1, ...)", Machine((("L4", 1.0),), 1, is_spot=False)),
        ("1x AWS(g4dn.xlarge[Spot], {'T4': 1}, ports=['8080'])", Machine((("T4", 1.0),), 1, is_spot=True)),
        ("1x(gpus=L4:1, image_id=docker:img:1, disk=50)", Machine((("L4", 1.0),), 1, is_spot=False)),
        ("1x(cpus=4, mem=16, m6i.xlarge, ...)", Machine((("CPU", 4.0),), 1, is_spot=False)),
        ("2x(gpus=L4:1, cpus=4, mem=16, ...)", Machine((("L4", 1.0),), 2, is_spot=False)),
        ("<initializing>", None),
        ("-", None),
        ("", None),
        ("9" * 10_000 + "x[" + "L4:" * 10_000, None),
    ],
)
def test_resources_are_read_in_every_form(text, machine):
    assert parse_resources(text) == machine


@pytest.mark.parametrize(
    ("resources", "priced"),
    [
        ("1x[L4:1]", (0.70, "config")),
        ("1x[l4:1][Spot]", (0.22, "config")),
        ("2x[L4:4][Spot]", (pytest.approx(1.76), "config")),
        ("1x[L4:1][On-demand|Spot]", (0.70, "config")),
        ("1x[H100:8]", (20.0, "catalog")),
        ("1x[H100:1][Spot]", (None, None)),
        ("1x[L4:1, A10G:1]", (0.70, "config")),
        ("1x[L4:1, H100:1]", (None, None)),
        ("1x[L4:1, B200:1]", (None, None)),
        ("1x[L40:1]", (None, None)),
        ("1x[CPU:4+]", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_price_is_that_of_all_accelerators_on_all_nodes_or_unknown(resources, priced):
    assert price_of(Record(job_id=1, status="RUNNING", resources=resources), PRICES) == priced


def test_a_price_of_zero_is_a_price():
    record = Record(job_id=1, status="RUNNING", resources="1x[L4:1]")
    assert price_of(record, {"L4": Price(on_demand=0.0)}) == (0.0, "config")


def test_the_catalogs_prices_say_where_they_are_from():
    asked = []

    def answer(*arguments, timeout_s):
        asked.append(arguments)
        return {"L4": {"spot": 0.2, "on_demand": None}, "T4": {"spot": None, "on_demand": None}}

    assert catalog_prices(["T4", "L4", "L4", "CPU"], ask=answer) == {"L4": Price(spot=0.2, source="catalog")}
    assert asked == [("prices", "L4", "T4")]


def test_nothing_is_asked_for_no_accelerator():
    assert catalog_prices(["CPU"], ask=pytest.fail) == {}


def test_a_catalog_that_can_not_be_asked_has_no_prices():
    def fail(*arguments, timeout_s):
        raise QueueError("no network")

    assert catalog_prices(["L4"], ask=fail) == {}
    assert catalog_prices(["L4"], ask=lambda *arguments, timeout_s: "odd") == {}
