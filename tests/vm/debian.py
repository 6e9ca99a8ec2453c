# SPDX-License-Identifier: BSD-2-Clause
"""Stock Debian kernels in a cache directory, for tests/vm/run: fetch() gives the directory with `vmlinuz`, `release` and
`modules/`, or raises Unavailable with the reason.

apt does the work, with state and configuration of its own below the cache: of the system's configuration only the
mirror's address is read (or $TCPTRAIL_DEBIAN_MIRROR), and nothing is installed."""

import contextlib
import fcntl
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What the tests need and Debian builds as modules, with all that they depend on; a name that is not there is built in.
MODULES = ["tun", "veth", "dummy", "inet_diag", "tcp_diag", "mptcp_diag"]


class Unavailable(Exception):
    """A kernel, or what it takes to get or boot it, is not to be had here."""


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(os.environ.get("TCPTRAIL_VM_CACHE") or os.path.join(base, "tcptrail", "vm"))
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def mirror():
    """The address of the Debian archive that this system uses, security updates aside."""
    if os.environ.get("TCPTRAIL_DEBIAN_MIRROR"):
        return os.environ["TCPTRAIL_DEBIAN_MIRROR"]
    lists = pathlib.Path("/etc/apt")
    for file in [lists / "sources.list", *sorted((lists / "sources.list.d").glob("*"))]:
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines():
                found = re.match(r"(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian)/?(?:\s|$)", line)
                if found:
                    return found[1]
    raise Unavailable("no source of Debian packages in /etc/apt, and no TCPTRAIL_DEBIAN_MIRROR")


def call(argv, **options):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, **options)
    except FileNotFoundError:
        raise Unavailable(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{argv[0]} took more than 300 s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"{' '.join(argv[:3])}: {last}")
    return done.stdout


class Apt:
    """apt-get with one suite as its only source."""

    def __init__(self, suite, directory):
        for name in ("lists/partial", "cache/archives/partial", "none"):
            (directory / name).mkdir(parents=True)
        (directory / "status").touch()
        (directory / "sources").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
        (directory / "apt.conf").write_text(
            f"""Dir::Etc::main "/dev/null"; Dir::Etc::parts "{directory}/none";
Dir::Etc::sourcelist "{directory}/sources"; Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "{directory}/none";
Dir::State "{directory}"; Dir::State::lists "{directory}/lists"; Dir::State::status "{directory}/status";
Dir::Cache "{directory}/cache"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3"; Acquire::http::Timeout "30";
APT::Sandbox::User "root"; Debug::NoLocking "true"; APT::Architecture "amd64"; APT::Architectures "amd64";
"""
        )
        self._environment = os.environ | {"APT_CONFIG": str(directory / "apt.conf")}
        self("apt-get", "-qq", "update", "-oAPT::Update::Error-Mode=any")

    def __call__(self, *argv, **options):
        return call(list(argv), env=self._environment, **options)

    def depends(self, package):
        text = self("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", text, re.MULTILINE)
        return [re.split(r"[ (|]", one.strip())[0] for one in found[1].split(",")] if found else []


def add_modules(tree, modules):
    """Writes MODULES and what they depend on into `modules`, named in the order in which they can be loaded."""
    files = {re.sub(r"\.ko(\.\w+)?$", "", path.name).replace("-", "_"): path for path in tree.rglob("*.ko*")}
    order = {}

    def add(name):
        path = files.get(name.replace("-", "_"))
        if path is None or name in order:
            return
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for one in depends[1].decode().split(",") if depends and depends[1] else ():
            add(one)
        order[name] = data

    for name in MODULES:
        add(name)
    modules.mkdir()
    for number, (name, data) in enumerate(order.items()):
        (modules / f"{number:02}-{name}.ko").write_bytes(data)


def fetch(suite, package):
    """The directory of the suite's kernel, from the cache when it is there."""
    cache = cache_directory()
    target = cache / f"{suite}-{package}"
    with open(cache / f"{suite}-{package}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests may want the same one
        if (target / "release").exists():
            return target
        if not os.path.exists(KEYRING):
            raise Unavailable(f"{KEYRING} is not there (package debian-archive-keyring)")
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as name:
            work = pathlib.Path(name)
            (work / "apt").mkdir()
            apt = Apt(suite, work / "apt")
            image = next((one for one in apt.depends(package) if re.match(r"linux-image-\d", one)), None)
            if image is None:
                raise Unavailable(f"{package} of {suite} names no kernel")
            # Newer kernels come in parts: linux-base-, linux-binary-, linux-modules-RELEASE.
            parts = [one for one in apt.depends(image) if re.match(r"linux-(base|binary|modules)-\d", one)]
            apt("apt-get", "-qq", "download", image, *parts, cwd=work)
            for deb in work.glob("*.deb"):
                call(["dpkg-deb", "-x", str(deb), str(work / "tree")])
            kernel = next((path for path in (work / "tree").rglob("vmlinuz*") if path.is_file()), None)
            if kernel is None:
                raise Unavailable(f"{image} holds no vmlinuz")
            made = work / "made"
            made.mkdir()
            shutil.copy(kernel, made / "vmlinuz")
            add_modules(work / "tree", made / "modules")
            (made / "release").write_text(image.removeprefix("linux-image-") + "\n")
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
    return target
