"""Reads an aarch64 disassembly: `dsb st` stands before the doorbell store, `dsb ld` behind the look at the phase.

Usage: objdump -d … | barriers.py NAME
"""

import re
import sys

# A doorbell is one 64-bit store without offset; the queue number, index and address are loaded in between.
DOORBELL = re.compile(r"\tstr\tx\d+, \[x\d+\]")
REACH = 16

functions, name = {}, None
for line in sys.stdin:
    if header := re.match(r"[0-9a-f]+ <(.*)>:", line):
        name = header.group(1)
    elif name and "\t" in line:
        functions.setdefault(name, []).append(line.rstrip())

submits = {n: body for n, body in functions.items() if any(re.search(r"\tdsb\tst$", i) for i in body)}
if not submits:
    sys.exit(f"barriers: {sys.argv[1]}: no `dsb st` at all")
for function, body in submits.items():
    for at in (at for at, instruction in enumerate(body) if re.search(r"\tdsb\tst$", instruction)):
        if not any(DOORBELL.search(instruction) for instruction in body[at + 1:at + 1 + REACH]):
            sys.exit(f"barriers: {sys.argv[1]}: no doorbell store behind `dsb st` in {function}")
reaps = [n for n, body in functions.items() if "queue_pair" in n and any(re.search(r"\tdsb\tld$", i) for i in body)]
if not reaps:
    sys.exit(f"barriers: {sys.argv[1]}: no `dsb ld` in the queue pair")
print(f"barriers: {sys.argv[1]}: `dsb st` before the doorbell, `dsb ld` behind the phase")
