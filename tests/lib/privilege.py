# SPDX-License-Identifier: BSD-2-Clause
"""Doing things as somebody else: a user without privilege, with chosen capabilities, with a tracer that he may run."""

import os
import shutil
import tempfile

from harness import program

NOBODY = 65534


class As:
    """What is made inside belongs to this user."""

    def __init__(self, uid):
        self.uid = uid

    def __enter__(self):
        if self.uid:
            os.seteuid(self.uid)

    def __exit__(self, *_):
        if self.uid:
            os.seteuid(0)


class Copy:
    """The tracer where everybody may run it: a build directory can be closed to others."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp()
        os.chmod(self.directory, 0o755)
        path = shutil.copy(program("tcptrail"), self.directory)
        os.chmod(path, 0o755)
        return path

    def __exit__(self, *_):
        shutil.rmtree(self.directory)


def as_nobody(*capabilities):
    wanted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return ["setpriv", *user, "--inh-caps", wanted, "--ambient-caps", wanted]
