"""The roof: the `archloop` command and the embedded composition."""
