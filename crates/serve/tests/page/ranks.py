"""What ranks do in the tests of the page; the first word says which."""

import os
import signal
import sys
import time
from pathlib import Path

RANK = int(os.environ["RANK"])


def say(text: str) -> None:
    print(text, flush=True)


def wait_for(gate: str) -> None:
    """Until that file is there."""
    while not Path(gate).exists():
        time.sleep(0.01)


def meet(place: str) -> None:
    """Until all ranks are here."""
    Path(f"{place}.{RANK}").touch()
    for rank in range(int(os.environ["WORLD_SIZE"])):
        wait_for(f"{place}.{rank}")


def train(gate: str, bad: str) -> None:
    """Steps until the gate is open; then `bad` fails, and others say what they see of that."""

    def told_to_end(_signal: int, _frame: object) -> None:
        if RANK % 4 == 1:
            print(f"watchdog: timed out waiting for rank {bad}", file=sys.stderr, flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, told_to_end)
    # Nobody fails before all of them hear signals, and have said something.
    meet(f"{gate}.hears")
    say("ready")
    meet(f"{gate}.ready")
    step = 0
    while not Path(gate).exists():
        step += 1
        say(f"\x1b[1mstep {step}\x1b[0m loss 0.{500 + RANK} on node-{RANK % 4}")
        time.sleep(0.1)
    if int(bad) == RANK:
        say("loss is nan")
        time.sleep(0.05)
        raise RuntimeError("an illegal memory access was encountered")
    time.sleep(60)


def hostile() -> None:
    """All that a page must not take for more than text."""
    say("<script>document.title = 'owned'; alert(1)</script>")
    say("<img src=x onerror=alert(2)> <a href='javascript:alert(3)'>link</a> javascript:alert(4)")
    say("\x1b]8;;javascript:alert(5)\x07a link of the terminal\x1b]8;;\x07 \x1b]0;owned\x07after")
    say("\x1b[2J\x1b[31mred\x1b[0m \x1b[?1049h\x1b[38;5;208morange\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[0m")
    sys.stdout.buffer.write(b"broken \xff\xfe utf-8 \xc3\n")
    say("".join(f"\x1b[{30 + n % 8}mx" for n in range(50_000)) + "bomb")
    say("\u202egnp.exe right to left \u0000\u0007\u009b31m")
    block = b"y" * (1 << 20)
    for _ in range(100):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.write(b" end of the long line\n")
    say("last line")


def flood(gate: str, megabytes: str) -> None:
    wait_for(gate)
    line = f"rank {RANK} floods the console with a line of usual length 0123456789\n".encode()
    block = line * (65536 // len(line))
    for _ in range((int(megabytes) << 20) // len(block)):
        sys.stdout.buffer.write(block)


def clock(gate: str) -> None:
    """The time, as often as a page can be expected to follow."""
    while not Path(gate).exists():
        say(f"at {time.time_ns() // 1000}")
        time.sleep(0.1)


{f.__name__: f for f in (train, hostile, flood, clock)}[sys.argv[1]](*sys.argv[2:])
