# SPDX-License-Identifier: Apache-2.0
"""Every failure says what went wrong, where, and what to do; the exit code says which kind it is."""

CHECK_FAILED = 1
USAGE = 2
ENVIRONMENT = 3
NOT_RUNNING = 4
TIMED_OUT = 5
BUILD_FAILED = 6
UNREACHABLE = 255
INTERRUPTED = 130

EXIT_CODES = f"""exit codes:
  0    done
  {CHECK_FAILED}    a check found something (scan: a kernel complaint in a console log)
  {USAGE}    wrong usage
  {ENVIRONMENT}    this machine lacks something the lab needs (packages, space, a working QEMU)
  {NOT_RUNNING}    no such lab or node, or it is not running
  {TIMED_OUT}    something did not happen within its time limit
  {BUILD_FAILED}    a build failed
  {INTERRUPTED}  interrupted; the lab that was being made is gone
  'run' and 'ssh' pass the command's own exit status on; {UNREACHABLE} means that the node could not be reached"""


class LabError(Exception):
    """What happened, and what a person can do about it."""

    code = ENVIRONMENT

    def __init__(self, what: str, todo: str = "", code: int | None = None):
        super().__init__(what)
        self.what = what
        self.todo = todo
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.what}\n  what to do: {self.todo}" if self.todo else self.what


class CheckFailed(LabError):
    code = CHECK_FAILED


class NotRunning(LabError):
    code = NOT_RUNNING


class TimedOut(LabError):
    code = TIMED_OUT


class BuildFailed(LabError):
    code = BUILD_FAILED


class NodeUnreachable(LabError):
    code = UNREACHABLE
