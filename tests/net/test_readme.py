# SPDX-License-Identifier: BSD-2-Clause
"""README.md, checked: each `$ tcptrail ...` in it is run in the situation that it is about, and prints what stands below it.

Numbers differ from run to run and are not compared, nor how they are aligned. A line `...` stands for any lines. Any other
command line of tcptrail in the file must be one that the program takes. `test_readme.py --show` prints what the commands print now."""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, program, run_tests, wait_for
from scenario import Program, kernel_timers
from sockets import TCP_FIN_WAIT2, fresh, reach

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
COMMAND = re.compile(r"^    \$ (tcptrail\b.*)$")


class Situation:
    """A network namespace; commands are asked in it, or watch it from the start."""

    def __init__(self, **sysctls):
        self.namespace = Namespace(**sysctls)
        self.answers = {}  # {command: what it printed}

    def __enter__(self):
        self.namespace.__enter__()
        return self

    def __exit__(self, *info):
        return self.namespace.__exit__(*info)

    def ask(self, command):
        argv = [program("tcptrail"), *shlex.split(command)[1:]]
        done = self.namespace.run(argv, check=False, stderr=subprocess.STDOUT)
        self.answers[command] = done.stdout

    @contextlib.contextmanager
    def watch(self, command, settles=True):
        with Tracer(shlex.split(command)[1:], netns=self.namespace) as tracer:
            yield
            if settles:
                self.namespace.settle()
            tracer.stop()
        self.answers[command] = tracer.run.stdout

    def session(self, *arguments):
        """A program of scenario_programs.py that goes on."""
        return Program(self.namespace, *arguments)

    def play(self, *arguments):
        """One that ends by itself. Returns its last line."""
        with self.session(*arguments) as one:
            one.ends()
            return one.lines[-1]


def restart():
    """A server that has closed first and exited, and its successor."""
    with Situation() as here:
        with here.watch("tcptrail life -L 8080"):
            with here.session("date-server", 8080) as server:
                server.says("listening")
                here.play("date-client", 8080, 1)
                server.signal(signal.SIGINT)
            here.play("date-server", 8080)
        here.ask("tcptrail ports --bind 127.0.0.1:8080")
        return here.answers


def exhausted():
    """A client that closes first runs through its twenty ports."""
    with Situation(net_ipv4_ip_local_port_range="40000 40019", net_ipv4_tcp_tw_reuse=0) as here:
        with here.session("sink-server", 9000) as server:
            server.says("listening")
            with here.watch("tcptrail life -D 9000 --errors"):
                here.play("client-first", 9000, 30, 200)
            here.ask("tcptrail ports --connect 127.0.0.1:9000")
        return here.answers


def harmless():
    """The same with the range that Linux has: hundreds in TIME_WAIT, and no trouble."""
    with Situation() as here:
        with here.session("sink-server", 9001) as server:
            server.says("listening")
            here.play("client-first", 9001, 300, 1000)
            here.ask("tcptrail ports --connect 127.0.0.1:9001")
        return here.answers


def told():
    """One session of an echo server, ended by its client."""
    with Situation() as here:
        with contextlib.ExitStack() as stack:
            for command in ("tcptrail explain -D 7000", "tcptrail stats"):
                stack.enter_context(here.watch(command))
            with here.session("echo-server", 7000) as server:
                server.says("listening")
                with here.session("echo-client", 7000) as client:
                    client.says("hello")
                    client.end_of_input()
                server.ends()
        return here.answers


def leak():
    """A server that never closes what its clients have finished."""
    with Situation() as here, here.session("leaky-server", 8081) as server:
        server.says("listening")
        command = "tcptrail ports --watch -L 8081"
        with Tracer(shlex.split(command)[1:], netns=here.namespace) as tracer:
            here.play("leaky-client", 8081, 8, 1000)

            def seen():
                text = os.pread(tracer._file.fileno(), 1 << 20, 0).decode()
                return re.search(r"^CLOSE_WAIT +8 .* none$", text, re.MULTILINE)

            # At once when the first round that calls them a leak has all of them; else when that round is a minute old.
            wait_for(seen, "a round in which they are not growing any more", 2 * 60)
            tracer.stop()
        here.answers[command] = tracer.run.stdout
        return here.answers


def forgotten():
    """The client has given the connection up, the server still sits in CLOSE_WAIT, and the port is used again."""
    with Situation(net_ipv4_tcp_fin_timeout=1) as here, here.session("leaky-server", 8081) as server:
        server.says("listening")

        def connect():
            client = fresh("127.0.0.1", reuseaddr=True)
            client.bind(("127.0.0.1", 50000))
            client.connect(("127.0.0.1", 8081))
            return client

        def finish(client):
            client.shutdown(socket.SHUT_WR)
            reach(TCP_FIN_WAIT2, client)
            client.close()

        with here.watch("tcptrail life -L 8081", settles=False):
            here.namespace.call(lambda: finish(connect()))
            wait_for(lambda: not kernel_timers(here.namespace), "the client's FIN_WAIT2 to end")
            here.namespace.call(lambda: connect().close())
        return here.answers


def used_again():
    """Two client ports, three connections: the third takes a tuple over that the server holds in TIME_WAIT."""
    with Situation(net_ipv4_ip_local_port_range="40000 40001") as here:
        with here.session("date-server", 8080) as server:
            server.says("listening")
            with here.watch("tcptrail trace --events time_wait"):
                here.play("date-client", 8080, 3)
        return here.answers


def refused():
    with Situation() as here:
        command = "tcptrail trace -- curl -s http://127.0.0.1:1/"
        here.ask(command)
        here.answers[command] = "\n".join(line for line in here.answers[command].splitlines() if not line.startswith("tcptrail: ready"))
        return here.answers


SITUATIONS = (restart, exhausted, harmless, told, leak, forgotten, used_again, refused)


def blocks():
    """[(command, lines below it)] of README.md."""
    found = []
    lines = None
    for line in README.read_text().splitlines():
        command = COMMAND.match(line)
        if command:
            lines = []
            found.append((command[1].partition("  #")[0].strip(), lines))
        elif lines is not None and line.startswith("    "):
            lines.append(line[4:])
        elif line or lines is None:
            lines = None
        else:
            lines.append("")
    return [(command, below) for command, below in found if any(below)]


def shape(text):
    """Without what differs from run to run: numbers, their units and columns, and where a line was wrapped."""
    text = re.sub(r"\bsk:[0-9a-f]+", "sk:0", text)
    text = re.sub(r"(?<![A-Z_\d])\d+(\.\d+)*(:\d+)*", "0", text)
    return " ".join(re.sub(r"\b0 (ms|us|s)\b", "0 s", text).split())


def matches(below, printed):
    """Whether what stands below a command is what it printed, with anything at a line `...`."""
    parts = [shape(part) for part in re.split(r"(?m)^\.\.\.$", "\n".join(below))]
    return re.fullmatch(".*".join(re.escape(part) for part in parts), shape(printed)) is not None


def console_blocks_are_real(checks):
    """each `$ tcptrail` of README.md prints what stands there"""
    printed = {}
    for situation in SITUATIONS:
        printed |= situation()
    shown = blocks()
    checks.that(len(shown) >= 8, f"{len(shown)} console blocks")
    for command, below in shown:
        if checks.that(command in printed, f"$ {command}: no situation has it"):
            checks.that(matches(below, printed[command]), f"$ {command}: prints\n{printed[command]}\nREADME.md has another shape")
    for command in set(printed) - {command for command, _ in shown}:
        checks.that(False, f"$ {command}: is not in README.md")


def every_command_line_is_taken(checks):
    """every other line `tcptrail ...` of README.md: the program takes it"""
    count = 0
    for line in README.read_text().splitlines():
        found = re.match(r"    tcptrail\b(.*?)(   | \||$)", line)
        if not found:
            continue
        argv = shlex.split(found[1]) or ["life"]
        count += 1
        if argv[0] == "replay":
            argv[1] = os.devnull  # no recording, which is no usage error
        elif argv[0] == "record":
            argv[argv.index("-o") + 1] = os.devnull
        if argv[0] in ("life", "trace", "explain", "stats", "record") or "--watch" in argv:
            at = argv.index("--") if "--" in argv else len(argv)
            argv[at:] = ["--for", "1ms"]
        done = subprocess.run([program("tcptrail"), *argv], capture_output=True, text=True, timeout=60)
        checks.that(done.returncode != 2, f"{' '.join(argv)}: {done.stderr}")
    checks.that(count >= 12, f"{count} command lines")


def show():
    for situation in SITUATIONS:
        for command, text in situation().items():
            print(f"$ {command}\n{text}")


if __name__ == "__main__":
    if "--show" in sys.argv:
        show()
    else:
        run_tests(console_blocks_are_real, every_command_line_is_taken)
