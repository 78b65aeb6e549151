"""How much memory this process has held at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> int:
    """MiB of this program alone. ``ru_maxrss`` also counts what the process was before it became this program."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0
