"""`python -m services.trainer`: the trainer as a process of its own."""

import sys

from archloop.ops.serve import main
from services.trainer.app import served
from services.trainer.settings import TrainerSettings

if __name__ == "__main__":
    sys.exit(main(TrainerSettings, served))
