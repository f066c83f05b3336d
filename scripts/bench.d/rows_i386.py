"""32-bit programs beside x64 ones of the same run: issue 6 item 4."""
from harness import row, target

GCC = "i686-w64-mingw32-gcc"
LDT = {"LPC_FS": "ldt"}


def thunk(bench, width, env=None):
    return float(bench.output([*bench.program("bench/thunk", width), bench.limit()], env)[0])


row("call x64", "ns", lambda bench: thunk(bench, "x64"))
row("call i386", "ns", lambda bench: thunk(bench, "x86"), needs=GCC)
row("call i386, ldt", "ns", lambda bench: thunk(bench, "x86", LDT), needs=GCC)

row("request 64 S, i386", "us", lambda bench: bench.ports("request", "S", width="x86"), needs=GCC)
row("request 64 S, i386, ldt", "us", lambda bench: bench.ports("request", "S", width="x86", env=LDT), needs=GCC)
row("request 64 S, i386 to x64", "us", lambda bench: bench.ports("request", "S", client_width="x86"), needs=GCC)
row("request 64 S, x64 to i386", "us", lambda bench: bench.ports("request", "S", width="x86", client_width="x64"), needs=GCC)
for pair in ("i386", "i386 to x64", "x64 to i386"):
    target(f"request 64 S, {pair}", over="request 64 S", most=1.10)

row(
    "lpcrun nop.exe, i386",
    "ms",
    lambda bench: bench.floor("spawn", "F", 0, None, *bench.program("bench/nop", "x86")) / 1000,
    needs=GCC,
)
