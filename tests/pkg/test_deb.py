#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""test_deb.py BUILD: the .deb holds what it should, installs into an empty root that has nothing but its dependencies, and
the program runs there.

The dependencies are what apt, with no package installed, says must come along: less than debootstrap would put there, so
what is missing from Depends is missing. Needs root (chroot), Debian or a system like it, and its mirror."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))
import debian  # noqa: E402

WANTED = [
    *["usr/bin/tcptrail", "usr/share/man/man8/tcptrail.8", "usr/share/doc/tcptrail/copyright", "usr/share/doc/tcptrail/CHANGELOG.md"],
    *["usr/share/bash-completion/completions/tcptrail", "usr/share/zsh/vendor-completions/_tcptrail"],
    *["usr/share/fish/vendor_completions.d/tcptrail.fish", "usr/lib/systemd/system/tcptrail.service"],
]
failed = 0


def check(good, what):
    global failed
    failed += not good
    print(f"{'ok' if good else 'FAILED'}: {what}", flush=True)


def run(*argv, **options):
    done = subprocess.run([str(one) for one in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **options)
    if done.returncode != 0:
        print(done.stdout)
    return done


def codename():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise debian.Unavailable("/etc/os-release names no release")


def install(work, package):
    """The package and what it depends on, in a root that was empty."""
    (work / "apt").mkdir()
    apt = debian.Apt(codename(), work / "apt")
    apt("apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", "install", str(package))
    root = work / "root"
    needed = sorted((work / "apt/cache/archives").glob("*.deb"))
    for deb in needed:
        debian.call(["dpkg-deb", "-x", str(deb), str(root)])
    print(f"dependencies: {' '.join(deb.name.split('_')[0] for deb in needed)}")
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    # Their own scripts want a whole system; ours has none. So dpkg knows of ours only.
    done = run("dpkg", f"--root={root}", "--force-depends", "-i", package, env=os.environ | {"DPKG_FORCE": "security-mac"})
    check(done.returncode == 0, "dpkg -i")
    check("tcptrail" in run("dpkg", f"--root={root}", "-L", "tcptrail").stdout, "dpkg -L")
    return root


def in_root(root, *argv):
    return subprocess.run(["chroot", str(root), *argv], capture_output=True, text=True, timeout=60)


def unit_command(root):
    """What the systemd unit starts."""
    unit = (root / "usr/lib/systemd/system/tcptrail.service").read_text()
    words = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).partition("=")[2].split()
    return [word.replace("${LOGS_DIRECTORY}", "/var/log") for word in words if word != "$TCPTRAIL_OPTIONS"]


def traces(root):
    """As on a machine that it was installed on: with /proc and /sys it records as its unit does, and replays that."""
    mounted = []
    try:
        for name in ("proc", "sys"):
            (root / name).mkdir(exist_ok=True)
            if run("mount", "--rbind", "--make-rslave", f"/{name}", root / name).returncode == 0:
                mounted.append(root / name)
        done = in_root(root, "/usr/bin/tcptrail", "doctor")
        check(done.returncode in (0, 1) and "\ntracing   " in done.stdout, f"doctor: {done.stdout[:400]} {done.stderr[:200]}")
        if "tracing   yes" not in done.stdout:
            print("SKIPPED: record and replay: tracing is not possible here")
            return
        (root / "var/log").mkdir(parents=True, exist_ok=True)
        recorder = subprocess.Popen(["chroot", root, *unit_command(root)], stderr=subprocess.PIPE, text=True)
        ready = recorder.stderr.readline()
        check(ready.startswith("tcptrail: ready"), f"record: {ready.strip()}")
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            server.accept()[0].close()
        recorder.send_signal(signal.SIGINT)
        check(recorder.wait(60) == 0, "record")
        recorder.stderr.close()
        done = in_root(root, "/usr/bin/tcptrail", "replay", "/var/log/tcptrail.rec", "-p", str(os.getpid()))
        check(done.returncode == 0 and "127.0.0.1" in done.stdout, f"replay: {done.stdout} {done.stderr[:200]}")
    finally:
        for path in reversed(mounted):
            run("umount", "-l", path)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    for name in ("cpack", "dpkg-shlibdeps", "dpkg-deb"):
        if shutil.which(name) is None:
            raise debian.Unavailable(f"{name} is not installed")
    with tempfile.TemporaryDirectory(prefix="tcptrail-deb-") as directory:
        work = pathlib.Path(directory)
        done = run("cpack", "-G", "DEB", "-B", work / "cpack", cwd=build)
        check(done.returncode == 0, "cpack")
        packages = list((work / "cpack").glob("*.deb"))
        if len(packages) != 1:
            check(False, f"one package: {packages}")
            return
        package = packages[0]
        depends = debian.call(["dpkg-deb", "-f", str(package), "Depends"]).strip()
        print(f"{package.name}, {package.stat().st_size // 1024} KiB\nDepends: {depends}")
        for library in ("libbpf", "libc6", "libstdc++"):
            check(library in depends, f"it depends on {library}")
        listed = {line.split()[5].removeprefix("./") for line in debian.call(["dpkg-deb", "-c", str(package)]).splitlines()}
        for path in WANTED:
            check(path in listed, path)
        check(not any(path.startswith(("usr/local", "usr/include")) for path in listed), "nothing in /usr/local or /usr/include")
        if os.geteuid() != 0:
            raise debian.Unavailable("not root: not installed anywhere")
        root = install(work, package)
        version = in_root(root, "/usr/bin/tcptrail", "--version")
        check(version.returncode == 0 and version.stdout.startswith("tcptrail "), f"--version: {(version.stdout or version.stderr).strip()}")
        for argument in ("--help", "schema"):
            done = in_root(root, "/usr/bin/tcptrail", argument)
            check(done.returncode == 0 and len(done.stdout) > 1000, f"{argument}: {len(done.stdout)} bytes {done.stderr[:200]}")
        traces(root)


if __name__ == "__main__":
    try:
        main()
    except debian.Unavailable as reason:
        if not failed:
            print(f"SKIP: {reason}")
            sys.exit(77)
        print(f"not finished: {reason}")
    sys.exit(1 if failed else 0)
