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
