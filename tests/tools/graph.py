"""The import graph of fmon in numbers: `make structure` prints rooms, levels and cycles.

A room is a folder of `fmon/` with all that it holds, or a module directly in `fmon/`. The level of a room
is the length of the longest chain of imports below it. A cycle is a set of rooms, or of modules, that import
each other. Run in the folder of another commit, as `python /path/to/graph.py`, it describes that one.
"""

import sys
from pathlib import Path

import grimp

PACKAGE = "fmon"


def imports() -> grimp.ImportGraph:
    """Read who imports whom, module by module, also what is imported for types only or inside a function."""
    return grimp.build_graph(PACKAGE, cache_dir=None)


def rooms_of(modules: grimp.ImportGraph) -> grimp.ImportGraph:
    """Make the graph of rooms out of the graph of modules; `__main__`, which imports all, is left out."""
    rooms = grimp.ImportGraph()
    for module in modules.modules - {PACKAGE, f"{PACKAGE}.__main__"}:
        rooms.add_module(_room(module))
        for imported in modules.find_modules_directly_imported_by(module) - {PACKAGE}:
            if _room(imported) != _room(module):
                rooms.add_import(importer=_room(module), imported=_room(imported))
    return rooms


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Find the sets of nodes that can all reach each other."""
    below = {node: graph.find_upstream_modules(node) for node in graph.modules}
    found = {frozenset({node, *(at for at in below[node] if node in below[at])}) for node in graph.modules}
    return sorted(sorted(nodes) for nodes in found if len(nodes) > 1)


def levels(graph: grimp.ImportGraph) -> list[list[str]]:
    """Group the nodes of a graph without cycles, those that import nothing first."""
    left, grouped = set(graph.modules), []
    while left:
        lowest = {node for node in left if not graph.find_modules_directly_imported_by(node) & left}
        if not lowest:
            raise ValueError(f"{sorted(left)} import each other: there are no levels")
        grouped.append(sorted(lowest))
        left -= lowest
    return grouped


def summary() -> str:
    """Describe the graph in one line a figure, with the rooms of each level."""
    modules = imports()
    rooms = rooms_of(modules)
    grouped = levels(rooms)
    return "\n".join(
        [
            f"modules         {len(modules.modules):>4}",
            f"rooms           {len(rooms.modules):>4}",
            f"levels          {len(grouped):>4}",
            f"room cycles     {_listed(cycles(rooms))}",
            f"module cycles   {_listed(cycles(modules))}",
            "",
            *(
                f"{number:>3}  {', '.join(_short(name) for name in names)}"
                for number, names in enumerate(grouped, 1)
            ),
        ]
    )


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _listed(found: list[list[str]]) -> str:
    return f"{len(found):>4}" + "".join(f"  [{', '.join(_short(name) for name in names)}]" for names in found)


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # the package of this folder, wherever another one is installed
    print(summary())
