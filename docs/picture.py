#!/usr/bin/env python3
"""Draws docs/run.svg: a real run of examples/train.py with a failing rank, as a terminal shows it.

    cargo build --release -p lastline
    python3 docs/picture.py

Runs the command on a pseudo-terminal, takes what it prints, colours and all, and draws it.
"""

import fcntl
import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "lastline run -n 8 --log-dir logs -- python3 train.py"
COLUMNS, LINE_HEIGHT, CHARACTER, FONT_SIZE, MARGIN = 100, 19, 8.43, 14, 16
BACKGROUND, FOREGROUND, MUTED = "#16181d", "#d6d8de", "#7d838f"
COLORS = {
    31: "#f2777a", 32: "#8fd18f", 33: "#e8c66a", 34: "#7fb0f5", 35: "#d59df0", 36: "#6fd0d6",
}  # fmt: skip


def on_terminal(argv, rows, **options):
    """Starts a program on a terminal of so many rows; the process, and what the terminal shows and takes."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
    process = subprocess.Popen(argv, stdin=side, stdout=side, stderr=side, **options)
    os.close(side)
    return process, main


def run(binary, place):
    """What the command prints on a terminal, started in the directory `place`."""
    env = {**os.environ, "XDG_STATE_HOME": str(place / "state"), "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    argv = [binary, *COMMAND.split()[1:]]
    job, main = on_terminal(argv, 50, cwd=place, env=env)
    printed = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux says EIO when the last writer has gone.
            break
        if not piece:
            break
        printed += piece
    job.wait()
    return printed.decode().replace("\r\n", "\n"), job.returncode


def spans(line):
    """The pieces of a line with their style: SGR sequences, and nothing else, are understood."""
    color, dim, bold = FOREGROUND, False, False
    for number, piece in enumerate(re.split(r"\x1b\[([\d;]*)m", line)):
        if number % 2 == 0:
            if piece:
                yield piece, MUTED if dim else color, bold
            continue
        for code in map(int, (piece or "0").split(";")):
            if code == 0:
                color, dim, bold = FOREGROUND, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif code in COLORS:
                color = COLORS[code]


def wrapped(line):
    """The line as a terminal of so many columns breaks it."""
    row, room = [], COLUMNS
    for text, color, bold in spans(line):
        while len(text) > room:
            row.append((text[:room], color, bold))
            yield row
            text, row, room = text[room:], [], COLUMNS
        row.append((text, color, bold))
        room -= len(text)
    yield row


def draw(lines, about="A run of eight ranks of which one fails"):
    rows = [row for line in lines for row in wrapped(line)]
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = len(rows) * LINE_HEIGHT + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{about}">'
    )
    yield f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>'
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    yield f'<g font-family="{font}" font-size="{FONT_SIZE}">'
    for number, row in enumerate(rows):
        y, column = MARGIN + (number + 0.75) * LINE_HEIGHT, 0
        for text, color, bold in row:
            # A browser draws one space for several, unless they do not break.
            drawn = html.escape(text).replace(" ", "\N{NO-BREAK SPACE}")
            x = MARGIN + column * CHARACTER
            length = len(text) * CHARACTER
            weight = ' font-weight="bold"' if bold else ""
            yield (
                f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" fill="{color}"{weight}>'
                f"{drawn}</text>"
            )
            column += len(text)
    yield "</g>"
    yield "</svg>"


def main():
    binary = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/lastline")
    # Python's traceback and the summary name it: a path that says nothing of this machine.
    place = Path(tempfile.gettempdir()) / "demo"
    place.mkdir()
    try:
        shutil.copy(ROOT / "examples/train.py", place)
        printed, code = run(binary.resolve(), place)
    finally:
        shutil.rmtree(place)
    lines = [f"\x1b[2m$\x1b[0m \x1b[1m{COMMAND}\x1b[0m", *printed.rstrip("\n").split("\n")]
    lines += ["\x1b[2m$\x1b[0m echo $?", str(code)]
    picture = ROOT / "docs/run.svg"
    picture.write_text("\n".join(draw(lines)) + "\n")
    print(printed, end="")
    print(f"exit code {code}; {picture.relative_to(ROOT)} is drawn")


if __name__ == "__main__":
    main()
