"""`python -m services.trainer.starting MODEL THREADS PRECISION`: how the warm training process begins."""

import sys

from archloop.ops.process import loading

with loading():
    from services.trainer.child import main

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])  # type: ignore[arg-type]
