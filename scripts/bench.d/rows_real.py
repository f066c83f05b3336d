"""Programs of real toolchains: start-up beside stock Wine, a build beside native ninja: issue 5 item 3."""
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import subprocess
import tempfile
from time import perf_counter

from harness import LPCRUN, ROOT, TARGET, row, target

WINE = shutil.which("wine64") or shutil.which("wine") or "/usr/lib/wine/wine64"
# Steps a file takes to compile: about 40 ms, as a small C file takes a compiler.
WORK = {"NTLPC_WORK": "100000000"}


def real_programs():
    """Returns scripts/real-programs as a module."""
    loader = importlib.machinery.SourceFileLoader("real_programs", str(ROOT / "scripts/real-programs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("real_programs", loader))
    loader.exec_module(module)
    return module


def binaries(name):
    """Returns the Linux and the Windows build of a program."""
    module = real_programs()
    cache = pathlib.Path(os.environ.get("REAL_PROGRAMS_CACHE", TARGET / "real-programs"))
    cache.mkdir(parents=True, exist_ok=True)
    (package,) = (program.package for program in module.PROGRAMS if program.name == name)
    return [module.fetch(package, side, cache) for side in ("linux", "windows")]


def milliseconds(words, cwd=None, env=None):
    begin = perf_counter()
    done = subprocess.run([str(word) for word in words], cwd=cwd, env={**os.environ, **(env or {})}, timeout=120,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}")
    return (perf_counter() - begin) * 1000


def start_up(bench, name):
    """Returns the least time of `NAME --version` under lpcrun and, where stock Wine can start it, under Wine."""
    _, windows = binaries(name)
    ours = min(milliseconds([LPCRUN, windows, "--version"]) for _ in range(5))
    env = {"WINEPREFIX": f"{bench.prefix}/wine", "WINEDEBUG": "-all"}
    try:
        milliseconds([WINE, windows, "--version"], env=env)
        return ours, min(milliseconds([WINE, windows, "--version"], env=env) for _ in range(3))
    except RuntimeError:
        return (ours,)


def build_once(side, command):
    with tempfile.TemporaryDirectory() as temporary:
        project = pathlib.Path(temporary) / "ninja"
        shutil.copytree(ROOT / "test-binaries/real/ninja", project)
        real_programs().build_worker(side, project)
        return milliseconds([*command, "-j2", "out/all.bin"], cwd=project, env=WORK)


def build(_bench):
    """Returns the least time of a build by native ninja and by ninja.exe under lpcrun, each with workers of its kind."""
    linux, windows = binaries("ninja")
    sides = {"linux": [linux], "windows": [LPCRUN, windows]}
    times = [{side: build_once(side, command) for side, command in sides.items()} for _ in range(3)]
    return tuple(min(time[side] for time in times) for side in sides)


for name in ("ninja", "ruff", "esbuild"):
    row((f"{name}.exe --version", f"Wine: {name}.exe --version"), "ms",
        lambda bench, name=name: start_up(bench, name), needs=WINE, once=True)
    target(f"{name}.exe --version", over=f"Wine: {name}.exe --version", most=1)

row(("native ninja build", "ninja.exe build"), "ms", build, needs="x86_64-w64-mingw32-gcc", once=True)
target("ninja.exe build", over="native ninja build", most=1.5)
