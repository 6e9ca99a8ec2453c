# SPDX-License-Identifier: BSD-2-Clause
"""docs/troubleshooting.md has every message of the source: each text that the first part of an error, warning or note is made of."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What makes a message, up to its WHAT.
MAKERS = re.compile(
    r"(?:\bError\{|\.what = |\bwarning_text\(\{|\berror_text\(\{|\bfail\(\{|\busage\(|\bconst std::string what = |\bkWhat = "
    r"|\blimits\.push_back\(|\b(?:damaged|cut_short|changed)\((?:\w+), |\btcptrail: (?=note: ))"
)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def first_part(text, start):
    """The expression at `start`, to the comma or bracket that ends it."""
    depth = at = 0
    source = text[start : start + 600]
    while at < len(source):
        literal = LITERAL.match(source, at)
        if literal:
            at = literal.end()
            continue
        if source[at] in ",;" and depth == 0:
            break
        depth += (source[at] in "({[") - (source[at] in ")}]")
        if depth < 0:
            break
        at += 1
    return source[:at]


def messages():
    """{(where, text)}: texts of two words or more, which nobody writes by accident."""
    found = set()
    for path in sorted(ROOT.glob("src/**/*.cpp")):
        text = path.read_text()
        for maker in MAKERS.finditer(text):
            if maker[0].startswith("tcptrail: "):
                part = '"' + text[maker.end() :].split("\n", 1)[0].split("\\n")[0].split('"')[0] + '"'
            else:
                part = first_part(text, maker.end())
            for literal in LITERAL.findall(part):
                words = plain(literal.replace("\\", ""))
                if len(words.split()) > 1:
                    found.add((f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, maker.start()) + 1}", words))
    return found


def plain(text):
    return " ".join(text.replace("`", "").split()).strip(" :;(").removeprefix("note: ")


def main():
    documented = plain((ROOT / "docs/troubleshooting.md").read_text())
    found = messages()
    missing = [(where, words) for where, words in sorted(found) if words not in documented]
    for where, words in missing:
        print(f"FAILED: docs/troubleshooting.md does not have: {words!r} ({where})")
    print(f"{len(found)} texts, {len(missing)} missing")
    return 1 if missing or len(found) < 120 else 0


if __name__ == "__main__":
    sys.exit(main())
