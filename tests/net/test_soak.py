# SPDX-License-Identifier: BSD-2-Clause
"""tools/soak for a minute: memory does not grow, descriptors stay, nothing is lost without being counted."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import ROOT, need_root

LENGTH = os.environ.get("TCPTRAIL_SOAK", "60s")

if __name__ == "__main__":
    need_root()
    sys.exit(subprocess.run([sys.executable, ROOT / "tools/soak", "--for", LENGTH, "--assert"], timeout=280).returncode)
