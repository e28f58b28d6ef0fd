"""`python -m services.novelty`: the novelty as a process of its own."""

import sys

from archloop.ops.serve import main
from services.novelty.app import served
from services.novelty.settings import NoveltySettings

if __name__ == "__main__":
    sys.exit(main(NoveltySettings, served))
