"""`python -m archloop_cli` is `archloop`."""

from archloop_cli.main import main

main()
