"""Classic LPC, PE to PE, and the floors it is measured against: issue 2 item 4, targets of design.md §8."""
import resource

from harness import row, target

BLOCKING = {"LPC_SPIN_US": "0"}

row("futex S", "us", lambda bench: bench.floor("futex", "S"))
row("request 64 S", "us", lambda bench: bench.ports("request", "S", 64))
row("request 64 S, no spin", "us", lambda bench: bench.ports("request", "S", 64, env=BLOCKING))
row("request 256 S", "us", lambda bench: bench.ports("request", "S", 256))
row("pipe S", "us", lambda bench: bench.floor("pipe", "S"))
row("unix socket S", "us", lambda bench: bench.floor("unix", "S"))
target("request 64 S", over="futex S", most=1.15, aim=1.05)
target("request 256 S", over="futex S", most=1.15, aim=1.05)
target("request 64 S", over="request 64 S, no spin", most=1.05, aim=1.02)
target("request 64 S", over="unix socket S", inverse=True, least=1.7, aim=1.9)

row("spin D", "us", lambda bench: bench.floor("spin", "D"))
row("request 64 D", "us", lambda bench: bench.ports("request", "D", 64))
row("request 256 D", "us", lambda bench: bench.ports("request", "D", 256))
row("futex D", "us", lambda bench: bench.floor("futex", "D"))
row("request 64 D, no spin", "us", lambda bench: bench.ports("request", "D", 64, env=BLOCKING))
target("request 64 D", most=0.5, aim=0.25)
target("request 64 D", over="spin D", most=4)
target("request 256 D", most=0.5, aim=0.25)

row("futex F", "us", lambda bench: bench.floor("futex", "F"))
row("request 64 F", "us", lambda bench: bench.ports("request", "F", 64))
row("request 256 F", "us", lambda bench: bench.ports("request", "F", 256))

row("datagram 64 D", "M/s", lambda bench: bench.rate("datagram", "D"))
row("datagram 64 S", "M/s", lambda bench: bench.rate("datagram", "S"))
target("datagram 64 D", least=3, aim=6)

for clients, place in ((1, "F"), (4, "F"), (16, "S"), (16, "F"), (64, "F")):
    row(
        (f"{clients} clients {place}", f"{clients} clients {place}, most/least"),
        ("k/s", "times"),
        lambda bench, clients=clients, place=place: bench.fan(place, clients),
    )
target("16 clients S", least=200)
target("16 clients S, most/least", most=3, aim=2)

row("view floor S", "us", lambda bench: bench.floor("view", "S"))
row("view 64 KiB S", "us", lambda bench: bench.ports("view", "S"))
target("view 64 KiB S", over="view floor S", most=1.15, aim=1.05)

row("connect floor F", "us", lambda bench: bench.floor("connect", "F"))
row("connect F", "us", lambda bench: bench.ports("connect", "F"))
target("connect F", over="connect floor F", most=1.5, aim=1.25)

row("spawn /bin/true", "ms", lambda bench: bench.floor("spawn", "F", 0, None, "/bin/true") / 1000)
row("lpcrun nop.exe", "ms", lambda bench: bench.floor("spawn", "F", 0, None, *bench.program("bench/nop")) / 1000)
target("lpcrun nop.exe", most=5, aim=2)

row(("futex calls, S", "other calls, S"), "/trip", lambda bench: bench.system_calls("S"), needs="strace", once=True)
row(("futex calls, D", "other calls, D"), "/trip", lambda bench: bench.system_calls("D"), needs="strace", once=True)
target("other calls, S", most=0.01)
target("futex calls, D", most=0.01)
target("other calls, D", most=0.01)

# The server needs a descriptor for a connection, and two for a port: so many are held as the hard limit allows.
FREE = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200
for kind, mode, number in (("connection", "idle", min(10_000, FREE)), ("port", "ports", min(100_000, FREE // 2))):
    row(
        (f"idle {kind}", f"request beside {number} {kind}s S"),
        ("KiB", "us"),
        lambda bench, mode=mode, number=number: bench.idle_memory(mode, "S", number),
        once=True,
    )
    target(f"request beside {number} {kind}s S", over="request 64 S", most=1.15)
target("idle connection", most=24, aim=12)
