"""Strip notebooks of what running them adds: outputs, execution counts, other metadata."""

import sys
from pathlib import Path

import nbformat

KEPT = {"kernelspec", "language_info"}


def strip(path: Path) -> bool:
    """Strip one notebook in place; whether there was anything to strip."""
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    notebook.metadata = {name: value for name, value in notebook.metadata.items() if name in KEPT}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    after = nbformat.writes(notebook)
    if after == before:
        return False
    path.write_text(f"{after}\n", encoding="utf-8")
    return True


def main() -> int:
    """Strip the notebooks named on the command line; 1 if any changed, which stops a commit."""
    changed = [name for name in sys.argv[1:] if strip(Path(name))]
    print(*(f"stripped {name}" for name in changed), sep="\n", end="")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
