#!/usr/bin/env python3
"""Prints what a training job prints, from as many processes as it is started in.

    lastline run -n 8 -- python3 examples/train.py

Ranks meet after every step, as those of a real job do. Rank 2 (or the last one of fewer) comes upon
a loss that is not a number and ends with a traceback; the others wait for it. Needs the standard
library alone; reads RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torch.distributed does.
"""

import os
import random
import sys
import time
from multiprocessing.connection import Client, Listener

RANK = int(os.environ.get("RANK", 0))
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", 1))
MASTER = (os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", 29500)))
STEPS = 6
UNLUCKY = min(2, WORLD_SIZE - 1)


def connect():
    """Rank 0's connections to all others; the one of each other rank to rank 0."""
    if RANK == 0:
        with Listener(MASTER, backlog=WORLD_SIZE) as listener:
            return [listener.accept() for _ in range(1, WORLD_SIZE)]
    while True:
        try:
            return [Client(MASTER)]
        except ConnectionRefusedError:
            time.sleep(0.05)


def meet(peers):
    """Returns when all ranks have come here. Where one never will, it never does."""
    try:
        if RANK != 0:
            peers[0].send_bytes(b"here")
        for peer in peers:
            peer.recv_bytes()
        if RANK == 0:
            for peer in peers:
                peer.send_bytes(b"go on")
    except (EOFError, ConnectionError):
        time.sleep(3600)


def forward(step, luck):
    """The loss of a step; on one rank it goes wrong after a while."""
    time.sleep(0.1 + luck.uniform(0, 0.02))
    if RANK == UNLUCKY and step == STEPS - 1:
        return float("nan")
    return 2.4 / step + luck.uniform(-0.05, 0.05)


def train(peers, luck):
    for step in range(1, STEPS + 1):
        loss = forward(step, luck)
        if loss != loss:
            raise ValueError(f"loss is {loss} at step {step}")
        meet(peers)
        print(f"step {step}/{STEPS}  loss {loss:.3f}  {luck.randint(900, 990)} samples/s")


def main():
    peers = connect()
    if RANK == 0:
        print(f"{WORLD_SIZE} ranks meet at {MASTER[0]}")
    if RANK == 1:
        print("warning: no checkpoint found, starting from scratch", file=sys.stderr)
    train(peers, random.Random(RANK))


if __name__ == "__main__":
    main()
