"""Write the pages, or with --check only say which have drifted."""

import sys

from archloop_cli import terminal
from archloop_cli.docs import drifted, pages


def main() -> int:
    """Write the pages, or with --check compare them; return 1 where one is not what the code says."""
    if "--check" in sys.argv[1:]:
        stale = drifted()
        for path in stale:
            terminal.put(f"{path} is not what the code says; run `make docs`")
        return int(bool(stale))
    for path, text in pages().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
