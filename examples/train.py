#!/usr/bin/env python3
"""Prints what a training job prints, from as many processes as it is started in.

    lastline run -n 8 -- python3 examples/train.py

Rank 2 (or the last one of fewer) meets a loss that is not a number and ends with a traceback.
Needs the standard library alone; reads RANK and WORLD_SIZE, as torch.distributed does.
"""

import os
import random
import sys
import time

RANK = int(os.environ.get("RANK", 0))
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", 1))
STEPS = 5
UNLUCKY = min(2, WORLD_SIZE - 1)


def forward(step, luck):
    """The loss of a step; on one rank it goes wrong after a while."""
    if RANK == UNLUCKY and step == STEPS - 1:
        return float("nan")
    return 2.4 / step + luck.uniform(-0.05, 0.05)


def train(luck):
    for step in range(1, STEPS + 1):
        time.sleep(0.1 + luck.uniform(0, 0.02))
        loss = forward(step, luck)
        if loss != loss:
            raise ValueError(f"loss is {loss} at step {step}")
        print(f"step {step}/{STEPS}  loss {loss:.3f}  {luck.randint(900, 990)} samples/s")


def main():
    luck = random.Random(RANK)
    if RANK == 0:
        print(f"{WORLD_SIZE} ranks meet at {os.environ.get('MASTER_ADDR', 'nowhere')}")
    if RANK == 1:
        print("warning: no checkpoint found, starting from scratch", file=sys.stderr)
    time.sleep(0.5)  # What loading the data takes.
    train(luck)


if __name__ == "__main__":
    main()
