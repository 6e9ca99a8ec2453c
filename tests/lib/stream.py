# SPDX-License-Identifier: BSD-2-Clause
"""A tracer whose records are read as they come, each with the time at which it arrived."""

import contextlib
import json
import os
import threading

from harness import Tracer, wait_for
from sockdiag import boot_ns


class Stream:
    """The records so far, oldest first; `arrived` has the boot time of each. Reads as long as the block runs."""

    def __init__(self, file, on_record):
        self.arrived = []
        self._lines = []
        self._records = []
        self._on_record = on_record
        self._file = file
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with self._file as lines:
            for line in lines:
                # Parsing waits: who reads slowly measures himself.
                now = boot_ns()
                self.arrived.append(now)
                self._lines.append(line)
                if self._on_record:
                    self._on_record(json.loads(line), now)

    @property
    def records(self):
        while len(self._records) < len(self._lines):
            self._records.append(json.loads(self._lines[len(self._records)]))
        return self._records

    def of(self, kind, **fields):
        return [one for one in self.records if one["type"] == kind and all(one.get(name) == value for name, value in fields.items())]

    def first(self, kind, what=None, **fields):
        """The first record of the kind with these values; waits for it."""
        found = wait_for(lambda: self.of(kind, **fields), what or f"a {kind} record with {fields}")
        return found[0]

    def finish(self):
        self._thread.join(10)


@contextlib.contextmanager
def streaming(args, on_record=None, **options):
    """with streaming(["trace", "--json"], netns=ns) as (stream, tracer): ...; afterwards stream has everything."""
    read_end, write_end = os.pipe()
    with open(read_end) as file:
        with os.fdopen(write_end, "wb") as out:
            tracer = Tracer(args, stdout=out, **options)
            with contextlib.ExitStack() as stack:
                stack.enter_context(tracer)
                out.close()
                stream = Stream(file, on_record)
                yield stream, tracer
        stream.finish()
