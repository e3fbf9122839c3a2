"""`python -m workers retrieval`: a worker by its name. What an image starts."""

import runpy
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    names = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__main__.py"))
    if len(arguments) != 1 or arguments[0] not in names:
        print(
            f"error: which worker? {' '.join(arguments) or 'None'} is none of {', '.join(names)}.",
            file=sys.stderr,
        )
        sys.exit(2)
    runpy.run_module(f"workers.{arguments[0]}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
