"""`python -m services.generator`: the generator as a process of its own."""

import sys

from archloop.ops.serve import main
from services.generator.app import served
from services.generator.settings import GeneratorSettings

if __name__ == "__main__":
    sys.exit(main(GeneratorSettings, served))
