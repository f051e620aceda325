"""Every error dnc-edge raises on purpose. Each says what is wrong and, in `hint`, what repairs it.

    DncError
      UsageError            exit 2    the command line or an argument is wrong
      InputError            exit 3    a question, passage, plan or file cannot be used
        PromptTooLong                 the prompt does not fit the context
      MissingError          exit 4    an engine, student or data set is not there
        ExtraMissing                  a package of an optional extra is not installed
        StudentError                  a student is unknown, damaged or not what it claims
        DataMissing                   a data set is not where it should be
      SolverError           exit 5    the solver (or a remote decomposer) gave no usable answer
      BudgetReached         exit 6    the next request could exceed the cost cap
      RecordsFailed         exit 7    a batch ended with failed records

`KeyboardInterrupt` ends a command with exit code 130; anything else is a bug.
"""

from __future__ import annotations


class DncError(Exception):
    """Root of all errors raised on purpose.

    Args:
        message: what is wrong and where, in one line.
        hint: what to do about it, in one line; printed after the message.
        code: short machine-readable name, kept in records (`error.code`).
        stage: "decompose" or "solve" where one is to blame.
        retryable: whether the same request may succeed later.
    """

    exit_code = 1
    default_code = "error"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        stage: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.stage = stage
        self.retryable = retryable


class UsageError(DncError):
    exit_code = 2
    default_code = "usage"


class InputError(DncError):
    exit_code = 3
    default_code = "bad_input"


class PromptTooLong(InputError):
    default_code = "prompt_too_long"


class MissingError(DncError):
    exit_code = 4
    default_code = "missing"


class ExtraMissing(MissingError):
    """A package of an optional extra is not installed."""

    default_code = "extra_missing"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed",
            hint=f"install it with: pip install 'dnc-edge[{extra}]'",
        )


class StudentError(MissingError):
    default_code = "student"


class DataMissing(MissingError):
    default_code = "data_missing"


class SolverError(DncError):
    """`retry_after` is what the server asked to wait before another request, in seconds."""

    exit_code = 5
    default_code = "solver"
    retry_after: float | None = None


class BudgetReached(DncError):
    exit_code = 6
    default_code = "budget"


class RecordsFailed(DncError):
    exit_code = 7
    default_code = "records_failed"
