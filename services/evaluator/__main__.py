"""`python -m services.evaluator`: the evaluator as a process of its own."""

import sys

from archloop.ops.serve import main
from services.evaluator.app import served
from services.evaluator.settings import EvaluatorSettings

if __name__ == "__main__":
    sys.exit(main(EvaluatorSettings, served))
