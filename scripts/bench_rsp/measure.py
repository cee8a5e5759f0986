"""The half of scripts/bench_rsp.py that runs inside gdb; `plan` comes from there.

Prints one line: FIGURES and a JSON object.
"""

import json
import os
import re
import time

import gdb

plan = globals()["plan"]
figures = {}

# Passes that a false condition is asked for at first: a server that leaves it to gdb is slow.
FEW = 200


def run(command):
    return gdb.execute(command, to_string=True)


def packets():
    """Return how many packets gdb has sent; its log is flushed with each."""
    if not os.path.exists(plan["log"]):
        return 0
    with open(plan["log"], errors="replace") as log:
        return sum(len(re.findall(r"\$[^#]*#..", line)) for line in log if line.startswith("w "))


def count(name, command, times=1):
    before = packets()
    for _ in range(times):
        run(command)
    figures[f"packets per {name}"] = (packets() - before) / times


def rate(name, command, times, units):
    begin = time.perf_counter()
    for _ in range(times):
        run(command)
    figures[name] = units / (time.perf_counter() - begin)


def passes_before_stop(passes):
    """Return how often a false condition is asked for in a second."""
    first = int(gdb.parse_and_eval("$r3"))
    run(f"break pass if $r3 == {first + passes}")
    begin = time.perf_counter()
    run("continue")
    taken = time.perf_counter() - begin
    run("delete")
    return passes / taken


run("set pagination off")
run("set confirm off")
if plan["log"]:
    # The log costs more than the packets: what is counted is not timed.
    if os.path.exists(plan["log"]):
        os.remove(plan["log"])
    run("set remotelogfile " + plan["log"])
    count("attach", "target remote " + plan["target"])
    run("break pass")
    run("continue")
    count("stepi", "stepi", 20)
    count("next", "next", 10)
    count("bt", "bt")
else:
    run("target remote " + plan["target"])
    rate("stepi/s", "stepi", plan["steps"], plan["steps"])
    for name, low in plan["dumps"].items():
        high = low + plan["dump_size"]
        rate(f"{name}, MB/s", f"dump binary memory {plan['dump']} {low} {high}", 1, (high - low) / 1e6)
    if plan["dumps"]:
        figures["false conditions/s"] = passes_before_stop(FEW)
        # More of them where they are fast, so that the start does not count.
        figures["false conditions/s"] = passes_before_stop(int(min(figures["false conditions/s"], 200_000)))
run("delete")
run("disconnect")
print("FIGURES " + json.dumps(figures))
