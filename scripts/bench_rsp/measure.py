"""The half of scripts/bench_rsp.py that runs inside gdb; `plan` comes from there.

Prints one line: FIGURES and a JSON object.
"""

import json
import os
import re
import statistics
import time

import gdb

plan = globals()["plan"]
figures = {}

# Dumps of one stretch: they take a twentieth of a second, and the host does other things as well.
DUMPS = 5

# Passes that a false condition is asked for at first: a server that leaves it to gdb is slow.
FEW = 200


# What is counted once each, in this order: a name, and the commands that it takes.
WORD = "*(long *) ((char *) &stack + 8)"
VERBS = (
    ("info registers", "info registers"),
    ("x/16i $pc", "x/16i $pc"),
    ("x/100x $sp", "x/100x $sp"),
    ("info threads", "info threads"),
    ("tbreak, continue", "tbreak leaf", "continue"),
    ("finish", "finish"),
    ("step", "step"),
    ("until", "until"),
    ("advance", "advance leaf"),
    ("watch, continue", f"watch {WORD}", "continue", "delete"),
    ("rwatch, continue", f"rwatch {WORD}", "continue", "delete"),
    ("software watch, continue", "set can-use-hw-watchpoints 0", f"watch {WORD}", "continue", "delete"),
    ("call", "call ((long (*)(void)) &leaf)()"),
)


def run(command):
    return gdb.execute(command, to_string=True)


def packets():
    """Return how many packets gdb has sent; its log is flushed with each."""
    if not os.path.exists(plan["log"]):
        return 0
    with open(plan["log"], errors="replace") as log:
        return sum(len(re.findall(r"\$[^#]*#..", line)) for line in log if line.startswith("w "))


def count(name, *commands, times=1):
    before = packets()
    for _ in range(times):
        for command in commands:
            run(command)
    figures[f"packets per {name}"] = (packets() - before) / times


def rate(name, command, times, units):
    begin = time.perf_counter()
    for _ in range(times):
        run(command)
    figures[name] = units / (time.perf_counter() - begin)


def dump_rates(file, low, size):
    """Return MB/s of each of a few dumps, and the seconds of its own that gdb has spent on a MB."""
    megabytes = size / 1e6
    rates = []
    began = time.process_time()
    for _ in range(DUMPS):
        begin = time.perf_counter()
        run(f"dump binary memory {file} {low} {low + size}")
        rates.append(megabytes / (time.perf_counter() - begin))
    return rates, (time.process_time() - began) / DUMPS / megabytes


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
    count("stepi", "stepi", times=20)
    count("next", "next", times=10)
    count("bt", "bt")
    run("delete")
    for verb in VERBS:
        count(*verb)
else:
    run("target remote " + plan["target"])
    rate("stepi/s", "stepi", plan["steps"], plan["steps"])
    for name, low in plan["dumps"].items():
        rates, own = dump_rates(plan["dump"], low, plan["dump_size"])
        figures[f"{name}, MB/s"] = statistics.median(rates)
        figures[f"{name}: gdb's own ms/MB"] = own * 1e3
    if plan["dumps"]:
        figures["false conditions/s"] = passes_before_stop(FEW)
        # More of them where they are fast, so that the start does not count.
        figures["false conditions/s"] = passes_before_stop(int(min(figures["false conditions/s"], 200_000)))
run("delete")
run("disconnect")
print("FIGURES " + json.dumps(figures))
