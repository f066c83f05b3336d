"""What scripts/bench is made of: rows that measure, targets that compare, and the processes they run.

A row is one declaration in a `rows_*.py` beside this file:

    row("request 64 S", "us", lambda bench: bench.ports("request", "S"))

Its function returns one number, or a tuple of as many as the row has names. A row that needs a program says so by `needs`
and is left out where that is missing. A target compares a row with a limit, or with another row of the same round:

    target("request 64 S", over="futex S", most=1.15, aim=1.05)
"""
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RELEASE = TARGET / "release"
LPCRUN = RELEASE / "lpcrun"
FLOOR = RELEASE / "bench-floor"
PROGRAMS = ROOT / "test-binaries/build"

# CPUs of the client and of the server: one for both, one each, or wherever the scheduler puts them.
PLACES = {"S": (1, 1), "D": (0, 1), "F": (-1, -1)}


@dataclass
class Row:
    names: tuple
    units: tuple
    measure: Callable
    needs: str | None
    is_once: bool
    samples: dict = field(default_factory=dict)
    error: str | None = None

    def is_possible(self):
        return self.needs is None or shutil.which(self.needs) is not None


@dataclass
class Target:
    name: str
    over: str | None
    most: float | None
    least: float | None
    aim: float | None
    inverse: bool

    def label(self):
        if not self.over:
            return self.name
        return f"{self.over} / {self.name}" if self.inverse else f"{self.name} / {self.over}"

    def value(self, samples):
        """Returns the median over the rounds of the row, or of its ratio to the other row in the same round."""
        mine = samples.get(self.name)
        other = samples.get(self.over) if self.over else None
        if not mine or (self.over and not other):
            return None
        if not self.over:
            return statistics.median(mine)
        pairs = zip(other, mine) if self.inverse else zip(mine, other)
        return statistics.median(a / b for a, b in pairs)

    def is_met(self, value):
        return value <= self.most if self.most is not None else value >= self.least

    def limit(self):
        return f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"


ROWS: list[Row] = []
TARGETS: list[Target] = []


def row(names, units, measure, needs=None, once=False):
    """Declares a row: its name or names, its unit or units, what measures it. `once`: not in every round."""
    names = (names,) if isinstance(names, str) else tuple(names)
    units = (units,) * len(names) if isinstance(units, str) else tuple(units)
    ROWS.append(Row(names, units, measure, needs, once))


def target(name, over=None, most=None, least=None, aim=None, inverse=False):
    """Declares what design.md §8 asks of a row, or of its ratio to the row `over` (`inverse`: of that one to it)."""
    TARGETS.append(Target(name, over, most, least, aim, inverse))


class Bench:
    """Runs programs and reads what they print. Times are microseconds unless named otherwise."""

    def __init__(self, host, milliseconds):
        self.host, self.milliseconds = host, milliseconds
        self.number = 0
        self.prefix = tempfile.mkdtemp(prefix="ntlpc-bench-")
        os.environ["LPC_PREFIX"] = self.prefix

    def start(self):
        """Starts the server of the bench's own prefix, so that no row pays for it."""
        env = {**os.environ, "RUST_LOG": os.environ.get("RUST_LOG", "error")}
        self.keeper = subprocess.Popen([RELEASE / "wineserver-ext", "-f", "-p"], process_group=0, env=env)
        self.ports("request", "F", limit="10")

    def stop(self):
        self.keeper.terminate()
        self.keeper.wait()
        shutil.rmtree(self.prefix, ignore_errors=True)

    def limit(self, share=1.0):
        return f"{max(20, int(self.milliseconds * share))}ms"

    def output(self, words, env=None, stdin=None):
        words = [str(word) for word in words]
        done = subprocess.run(words, stdout=subprocess.PIPE, stdin=stdin, timeout=60, env={**os.environ, **(env or {})})
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}")
        return done.stdout.split()

    def floor(self, method, place, size=64, limit=None, *program):
        """Returns the time of an operation of bench.d/floor.c."""
        words = [FLOOR, method, *PLACES[place], size, limit or self.limit(), *program]
        return float(self.output(words)[0]) / 1000

    def program(self, name, width="x64"):
        """Returns the words that run a test program."""
        return [LPCRUN, "--host", self.host, PROGRAMS / width / f"{name}.exe"]

    @contextlib.contextmanager
    def server(self, place="F", env=None, width="x64", program="bench/ping"):
        """Runs a program as a server; yields its port's name and its process."""
        self.number += 1
        name = f"{os.getpid()}-{self.number}"
        words = [*self.program(program, width), "server", name, PLACES[place][1]]
        server = subprocess.Popen(
            [str(word) for word in words],
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            process_group=0,
        )
        try:
            if not server.stdout.readline():
                raise RuntimeError("the server of the bench did not start")
            yield name, server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            server.stdout.close()

    def client(self, name, place, mode, size, limit, *more, width="x64", program="bench/ping"):
        """Returns the words of a program as a client."""
        return [*self.program(program, width), "client", name, PLACES[place][0], mode, size, limit, *more]

    def numbers(self, mode, place, size=64, limit=None, *more, env=None, width="x64", client_width=None, program="bench/ping"):
        """Runs server and client, both of `width` unless the client's is named; returns what the client printed."""
        with self.server(place, env, width, program) as (name, _):
            width = client_width or width
            words = self.client(name, place, mode, size, limit or self.limit(), *more, width=width, program=program)
            return [float(word) for word in self.output(words, env)]

    def ports(self, mode, place, size=64, limit=None, env=None, width="x64", client_width=None, program="bench/ping"):
        """Returns the time of an operation: of the median chunk."""
        widths = {"width": width, "client_width": client_width}
        return self.numbers(mode, place, size, limit, env=env, program=program, **widths)[0] / 1000

    def rate(self, mode, place, size=64, env=None, program="bench/ping"):
        """Returns millions of operations a second, over all."""
        return 1000 / self.numbers(mode, place, size, env=env, program=program)[1]

    def fan(self, place, clients):
        """Returns thousands of round trips a second, and the operations of the fastest client over those of the slowest."""
        count, nanoseconds, least, most = self.numbers("fan", place, 64, self.limit(), clients)
        return count / nanoseconds * 1e6, most / max(least, 1)

    def system_calls(self, place, operations=20000):
        """Returns system calls an operation of a client: futex calls, and all others."""
        counts = [self.trace(place, limit) for limit in (0, operations)]
        each = {name: (counts[1].get(name, 0) - counts[0].get(name, 0)) / operations for name in counts[1]}
        return each.get("futex", 0), sum(count for name, count in each.items() if name != "futex")

    def trace(self, place, operations):
        with self.server(place) as (name, _):
            return self.counted(self.client(name, place, "request", 64, operations))

    def counted(self, words):
        """Runs a program under strace; returns how often it made each system call."""
        with tempfile.NamedTemporaryFile("r") as log:
            self.output(["strace", "-f", "-c", "-U", "name,calls", "-o", log.name, *words])
            counts = {word: int(calls) for word, calls in re.findall(r"^(\w+) +(\d+)$", log.read(), re.M)}
            counts.pop("total", None)
            return counts

    def idle_memory(self, mode, place, number):
        """Returns KiB resident of an idle connection or port in all processes, and the round trip beside so many idle ones."""
        def resident(pids):
            total = 0
            for pid in pids:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss: +(\d+)", text, re.M)[1])
            return total

        with self.server(place) as (name, server):
            def run(count):
                words = [str(word) for word in self.client(name, place, mode, 64, count)]
                client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                if not client.stdout.readline():
                    raise RuntimeError(f"{count} could not be made")
                time.sleep(0.1)
                kib = resident([client.pid, server.pid, self.keeper.pid])
                out, _ = client.communicate(b"\n")
                return kib, float(out.split()[0]) / 1000

            one, _ = run(1)
            many, trip = run(number)
            return (many - one) / (number - 1), trip


def load():
    """Runs every `rows_*.py` beside this file: they declare rows and targets."""
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        exec(compile(path.read_text(), path, "exec"), {"__name__": path.stem, "__file__": str(path)})
