"""The training process on a machine where no more than two examples at once fit into memory."""

import sys

import torch

from services.trainer import lean, tuning, warm

train = tuning.train


def fits_two(job, *rest, **more):
    if job.batches.batch_size > 2:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    return train(job, *rest, **more)


tuning.train = fits_two
assert lean.train  # loaded before the fork, as in life
warm.main(sys.argv[1], int(sys.argv[2]))
