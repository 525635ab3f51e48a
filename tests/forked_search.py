"""``search.py`` whose trials are forked from it: most of a tiny trial's time is that of imports."""

import os
import runpy
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

from bev.lab.ablation import queue


class ForkedModule:
    """The part of ``subprocess.Popen`` that runs of ``python -m MODULE`` need."""

    def __init__(self, command, *, stdout, env, **_):
        self.returncode = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_run(command[2:], stdout.fileno(), env))

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def _run(words, output, environment) -> int:
    """Run a module in this process, which was forked; returns its exit status."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = words
    code = 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    queue.subprocess = SimpleNamespace(
        Popen=ForkedModule, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT
    )
    tool = Path(__file__).parents[1] / "tools" / "search.py"
    runpy.run_path(str(tool), run_name="__main__")
