"""What one service needs, a line each: `python requirements.py novelty`, beside pyproject.toml.

The images install this list before any code is copied, so that a change of code leaves that layer alone.
"""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> None:
    """Print the project's own dependencies and those of the extras."""
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
    named = (requirement for extra in extras for requirement in project["optional-dependencies"][extra])
    for requirement in sorted({*project["dependencies"], *named}):
        sys.stdout.write(f"{requirement}\n")  # noqa: TID251 - the image has nothing of the project yet


if __name__ == "__main__":
    main(sys.argv[1:])
