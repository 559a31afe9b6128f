"""Sets one typst file in a process of its own that imports nothing of eduq: ``python typst_apart.py job.json``.

The job holds main, root, output and inputs. What goes wrong is printed as JSON, with exit status 3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_MOST_MEMORY = 6 * 2**30


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


def _set_apart(job: Path) -> int:
    import typst

    said = json.loads(job.read_text(encoding="utf-8"))
    try:
        typst.compile(
            said["main"],
            output=said["output"],
            root=said["root"],
            font_paths=[said["root"]],
            sys_inputs=said["inputs"],
            timestamp=0,
        )
    except typst.TypstError as problem:
        sys.stdout.write(json.dumps({"message": problem.message, "diagnostic": problem.diagnostic}))
        return 3
    return 0


if __name__ == "__main__":
    _bound_memory()
    sys.exit(_set_apart(Path(sys.argv[1])))
