"""The bus port, its adapters, and the one consume loop."""
