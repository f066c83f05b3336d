"""ALPC, PE to PE, beside the classic calls in the same round: issue 4."""
from harness import row, target

ALPC = "bench/alping"

for place in ("S", "D"):
    row(f"ALPC request 64 {place}", "us", lambda bench, place=place: bench.ports("request", place, 64, program=ALPC))
    row(f"ALPC message 64 {place}", "us", lambda bench, place=place: bench.ports("message", place, 64, program=ALPC))
    row(f"ALPC window 64 {place}", "us", lambda bench, place=place: bench.ports("window", place, 64, program=ALPC))
    row(f"ALPC datagram 64 {place}", "M/s", lambda bench, place=place: bench.rate("datagram", place, program=ALPC))
    target(f"ALPC request 64 {place}", over=f"request 64 {place}", most=1.10)
    target(f"ALPC datagram 64 {place}", over=f"datagram 64 {place}", least=0.9)

# A server's ways of receiving: threads blocked in a receive, threads at an I/O completion port, workers of a completion list.
MESSAGES = 20000


def receiving(bench, way, threads, messages=MESSAGES):
    """Returns the words of bench/alpc_wakes: `threads` of the server answer a client with 64 requests under way."""
    return [*bench.program("bench/alpc_wakes"), way, messages, threads, 64]


def throughput(bench, way, threads):
    """Returns thousands of requests a second."""
    messages, nanoseconds, _ = map(float, bench.output(receiving(bench, way, threads)))
    return messages / nanoseconds * 1e6


def futex_calls(bench, way, threads):
    """Returns futex calls a request, of client and server together."""
    calls = [
        sum(bench.counted(receiving(bench, way, threads, messages)).get(name, 0) for name in ("futex", "futex_waitv"))
        for messages in (0, MESSAGES)
    ]
    return (calls[1] - calls[0]) / MESSAGES


for title, way in (("receive", "receive"), ("completion port", "packets"), ("completion list", "list")):
    for threads, servers in ((1, "1 thread"), (4, "4 threads")):
        about = f"ALPC {title}, {servers} F"
        row(about, "k/s", lambda bench, way=way, threads=threads: throughput(bench, way, threads))
        row(f"{about}, futex calls", "/trip", lambda bench, way=way, threads=threads: futex_calls(bench, way, threads),
            needs="strace", once=True)
