"""`python -m services.registry`: the registry as a process of its own."""

import sys

from archloop.ops.serve import main
from services.registry.app import served
from services.registry.settings import RegistrySettings

if __name__ == "__main__":
    sys.exit(main(RegistrySettings, served))
