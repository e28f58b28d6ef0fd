"""What only a GPU can prove, in ten minutes: `python -m benchmarks.gpu --out DIR`."""
