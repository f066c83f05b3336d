"""Ports under stock Wine beside what Wine itself has, and what the library costs where no port is used: issue 3 item 3."""
import atexit
import contextlib
import copy
import os
import shutil
import signal
import statistics
import subprocess
from pathlib import Path

from harness import PLACES, PROGRAMS, RELEASE, row, target

WINE = os.environ.get("WINE") or shutil.which("wine64") or "/usr/lib/wine/wine64"
# Starts with the library and as many without, a round.
STARTS = 20
ENVIRONMENT = {"WINEDEBUG": "-all", "LPC_SERVER": str(RELEASE / "wineserver-ext")}


def wine(bench):
    """Returns the bench with Wine as its host and a Wine prefix of its own, in which some process keeps Wine's services."""
    if not hasattr(bench, "wine"):
        os.environ.update(ENVIRONMENT, WINEPREFIX=f"{bench.prefix}/wine")
        subprocess.run([WINE, "wineboot", "-i"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=300, check=True)
        bench.wine = copy.copy(bench)
        bench.wine.host = "wine"
        bench.wine.number = 1_000_000
        keeper = subprocess.Popen([str(w) for w in bench.wine.program("bench/peers")] + ["waitable", str(os.getpid())],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        keeper.stdout.readline()
        atexit.register(keeper.stdin.close)
    return bench.wine


def peer(bench, kind, place):
    """Returns the round trip of what Wine has: `pipe` or `events`."""
    bench = wine(bench)
    bench.number += 1
    name = f"{os.getpid()}-{bench.number}"
    words = [str(word) for word in bench.program("bench/peers")]
    client, server = (str(cpu) for cpu in PLACES[place])
    process = subprocess.Popen([*words, "server", name, server, kind], stdout=subprocess.PIPE, process_group=0)
    try:
        if not process.stdout.readline():
            raise RuntimeError("the peer of the bench did not start")
        return float(bench.output([*words, "client", name, client, kind, 64, bench.limit()])[0]) / 1000
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def library(is_there):
    return {"LD_PRELOAD": str(RELEASE / "libntdll_shim.so")} if is_there else {}


@contextlib.contextmanager
def wineserver_on(cpu):
    """Keeps the prefix's wineserver on one CPU: its answer takes 8 us there, 45 us on another."""
    prefix = f"WINEPREFIX={os.environ['WINEPREFIX']}".encode()
    servers = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.joinpath("comm").read_text().startswith("wineserver") and prefix in path.joinpath("environ").read_bytes():
                servers.append(int(path.name))
    before = {pid: os.sched_getaffinity(pid) for pid in servers}
    try:
        for pid in servers:
            os.sched_setaffinity(pid, {cpu})
        yield
    finally:
        for pid, cpus in before.items():
            os.sched_setaffinity(pid, cpus)


def alone(bench, objects):
    """Returns the time of a wait on events without the library and with it, while the prefix has a waitable port."""
    bench = wine(bench)
    words = [WINE, PROGRAMS / "x64/bench/peers.exe", "alone", 1, objects, bench.limit()]
    with wineserver_on(1):
        return tuple(float(bench.output(words, library(is_there))[0]) / 1000 for is_there in (False, True))


def start_up(bench):
    """Returns the milliseconds of a program that does nothing without the library, and what it adds: lower quartiles of starts
    in turn. On one CPU with the wineserver no idle CPU has to wake, which takes longer than what is measured."""
    bench = wine(bench)
    times = {False: [], True: []}
    with wineserver_on(PLACES["S"][0]):
        for _ in range(STARTS):
            for is_there, samples in times.items():
                words = [f"{name}={value}" for name, value in library(is_there).items()]
                words = ["/usr/bin/env", *words, WINE, PROGRAMS / "x64/bench/nop.exe"]
                samples.append(bench.floor("spawn", "S", 0, "1", *words) / 1000)
    plain, hooked = (statistics.quantiles(samples)[0] for samples in times.values())
    return plain, hooked - plain


for place in ("S", "D"):
    row(f"Wine: request 64 {place}", "us", lambda bench, place=place: wine(bench).ports("request", place), needs=WINE)
    row(f"Wine: named pipe {place}", "us", lambda bench, place=place: peer(bench, "pipe", place), needs=WINE)
    row(f"Wine: section, events {place}", "us", lambda bench, place=place: peer(bench, "events", place), needs=WINE)
target("Wine: request 64 S", over="Wine: named pipe S", inverse=True, least=20)
target("Wine: request 64 S", over="Wine: section, events S", inverse=True, least=6)
target("Wine: request 64 D", over="Wine: named pipe D", inverse=True, least=200)

for objects in ("one", "several"):
    plain, hooked = f"Wine: wait for {objects}", f"Wine: wait for {objects}, library"
    row((plain, hooked), "us", lambda bench, objects=objects: alone(bench, objects), needs=WINE)
    target(hooked, over=plain, most=1.02)

row(("Wine: nop.exe", "Wine: nop.exe, library adds"), "ms", start_up, needs=WINE)
target("Wine: nop.exe, library adds", most=1)
