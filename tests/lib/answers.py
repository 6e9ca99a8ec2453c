# SPDX-License-Identifier: BSD-2-Clause
"""What `tcptrail ports` and `tcptrail doctor` answer when a test asks them."""

import json
import subprocess

from harness import PATIENCE, program


def ports(*args, expect=0):
    """The records of one `tcptrail ports` run in the namespace of the calling thread."""
    done = subprocess.run([program("tcptrail"), "ports", "--json", *map(str, args)], capture_output=True, text=True, timeout=60)
    if done.returncode != expect:
        raise AssertionError(f"ports {args}: exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def only(records, kind):
    """The one record of the kind that an answer consists of."""
    found = [record for record in records if record["type"] == kind]
    kinds = [record["type"] for record in records]
    if kinds != ["startup", kind, "summary"]:
        raise AssertionError(f"an answer is startup, {kind}, summary, and not {kinds}")
    return found[0]


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def features(deny=()):
    """{feature: "on" | "off ..."} as doctor prints it, and the whole text."""
    flags = ["--deny-feature", ",".join(deny)] if deny else []
    done = subprocess.run(
        [program("tcptrail"), "doctor", *flags], capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode != 0:
        raise AssertionError(f"doctor: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    table = done.stdout.split("feature", 1)[1].split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split()[1] for line in table if line[:1].strip()}, done.stdout  # why: and fix: are indented
