"""What the programs of a run left at the server of their prefix: nothing, however they ended."""

import os
import pathlib
import subprocess
import time

SECONDS = 10


def ports(bin_dir, environment):
    """Returns the ports the server knows, as `lpcctl ports` prints them; none without a server."""
    shown = subprocess.run([bin_dir / "lpcctl", "ports"], env=environment, capture_output=True, text=True)
    return shown.stdout.splitlines()[1:] if shown.returncode == 0 else []


def memory(environment):
    """Returns the inboxes and segments that servers of the prefix have open."""
    wanted = f"LPC_PREFIX={environment['LPC_PREFIX']}".encode()
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if not os.readlink(process / "exe").endswith("/wineserver-ext"):
                continue
            if wanted not in (process / "environ").read_bytes().split(b"\0"):
                continue
            names = [os.readlink(descriptor) for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue  # It ended meanwhile.
        found += [name for name in names if name.startswith(("/memfd:ntlpc-segment", "/memfd:ntlpc-inbox"))]
    return found


def left_behind(bin_dir, environment):
    """Returns what is still there some seconds after the last program of the prefix ended, as lines."""
    end = time.monotonic() + SECONDS
    while True:
        found = ports(bin_dir, environment) + memory(environment)
        if not found or time.monotonic() > end:
            return [f"left behind: {line}" for line in found]
        time.sleep(0.05)
