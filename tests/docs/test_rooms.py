# SPDX-License-Identifier: BSD-2-Clause
"""docs/design.md names the rooms of src/ from top to bottom; an include may only go down. So no circle can appear either.

The list is the code block below the line "<!-- rooms -->". Only `kernel` may include libbpf."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include ["<]([^">]+)[">]', re.M)
LARGEST_SHARE = 0.20  # of the lines of src/


def order():
    text = (ROOT / "docs/design.md").read_text()
    block = re.search(r"<!-- rooms -->\n+```\n(.*?)```", text, re.S)
    if block is None:
        sys.exit("FAILED: docs/design.md has no list of rooms below <!-- rooms -->")
    return [line.split()[0] for line in block[1].splitlines() if line.strip()]


def arrows_up(rooms):
    """(file, include) of each include line that goes up, or past the rule on libbpf."""
    height = {room: len(rooms) - at for at, room in enumerate(rooms)}
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".cpp", ".h"):
            continue
        room = path.relative_to(ROOT / "src").parts[0]
        for included in INCLUDE.findall(path.read_text()):
            target = included.split("/")[0]
            if included.startswith("bpf/") or included.endswith(".skel.h"):
                if room != "kernel":
                    yield path.relative_to(ROOT), included
            elif target in height and height[target] > height[room]:
                yield path.relative_to(ROOT), included


def main():
    rooms = order()
    failures = [f"{path} includes {included}: that points up" for path, included in arrows_up(rooms)]
    lines = {}
    for path in (ROOT / "src").iterdir():
        if path.is_dir():
            lines[path.name] = sum(len(file.read_bytes().splitlines()) for file in path.rglob("*") if file.suffix in (".cpp", ".h"))
    if set(lines) != set(rooms):
        failures.append(f"docs/design.md and src/ differ in {sorted(set(lines) ^ set(rooms))}")
    total = sum(lines.values())
    largest = max(lines, key=lines.get)
    if lines[largest] > LARGEST_SHARE * total:
        failures.append(f"src/{largest} holds {lines[largest] / total:.1%} of src/, more than {LARGEST_SHARE:.0%}")
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{len(rooms)} rooms, {total} lines, the largest is {largest} with {lines[largest] / total:.1%}; {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
