"""Every error dnc-edge raises on purpose. Each says what is wrong and, in `hint`, what repairs it.

    DncError
      UsageError            exit 2    the command line or an argument is wrong
      InputError            exit 3    a question, passage, plan or file cannot be used
        PromptTooLong                 the prompt does not fit the context
        PurseError                    what a run spends cannot be written down
      MissingError          exit 4    an engine, student or data set is not there
        ExtraMissing                  a package of an optional extra is not installed
        EngineMissing                 no engine is installed, or one does not load
        StudentError                  a student is unknown, damaged or not what it claims
        DataMissing                   a data set is not where it should be
      SolverError           exit 5    the solver (or a remote decomposer) gave no usable answer
        SolverCut                     the reply ended at the limit of tokens
        SolverFiltered                the provider's filter stopped the question or the reply
        SolverRefused                 the model refused to answer
        SolverEmpty                   a complete reply without an answer: nothing, thinking alone, a tool call
        SolverBadReply                a reply that is no chat completion, or that stopped for an unknown reason
        NoPlan                        a decomposer's reply neither asks anything nor says that nothing is to be asked
        SolverBrokenReply             the reply ended before it was complete
        SolverConnection              the address cannot be reached
        SolverTimeout                 no complete reply within a deadline
        SolverServerError             the server failed (HTTP 5xx)
        SolverRejected                the server rejected the request (HTTP 400, 413, 422)
        SolverRateLimited             too many requests (HTTP 429)
          SolverWait                  the server asks for a longer wait than the patience setting allows
        SolverQuota                   quota or balance is used up (HTTP 402, some 429)
        SolverAuth                    the key is missing or not accepted (HTTP 401, 403)
        SolverNotFound                there is no such model or path (HTTP 404)
        SolverDown                    the server failed many times in a row
      BudgetReached         exit 6    the next request could exceed the cost cap
      Cancelled             exit 130  nobody waits for the answer any more, or its time is over
      Unexpected            exit 1    a bug, or a library's error that nobody foresaw; `__cause__` is the original
      RecordsFailed         exit 7    a batch ended with failed records

`KeyboardInterrupt` ends a command with exit code 130; anything else is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnc_edge.types import Usage


class DncError(Exception):
    """Root of all errors raised on purpose.

    Args:
        message: what is wrong and where, in one line.
        hint: what to do about it, in one line; printed after the message.
        code: short machine-readable name, kept in records (`error.code`).
        stage: "decompose" or "solve" where one is to blame.
        retryable: whether the same request may succeed later; None takes the class's value.

    Attributes:
        fatal: whether it concerns the run rather than one question: a batch ends, the question stays pending.
        usage: what was used of remote models until then; None if nothing was sent.
    """

    exit_code = 1
    default_code = "error"
    retryable = False
    fatal = False
    usage: Usage | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        stage: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.stage = stage
        if retryable is not None:
            self.retryable = retryable


class UsageError(DncError):
    exit_code = 2
    default_code = "usage"


class InputError(DncError):
    exit_code = 3
    default_code = "bad_input"


class PromptTooLong(InputError):
    default_code = "prompt_too_long"


class PurseError(InputError):
    """What a run spends cannot be written down, so that nothing more may be sent."""

    default_code = "purse"
    fatal = True


class MissingError(DncError):
    exit_code = 4
    default_code = "missing"


class ExtraMissing(MissingError):
    """A package of an optional extra is not installed."""

    default_code = "extra_missing"

    def __init__(self, package: str, extra: str) -> None:
        from dnc_edge import installer

        super().__init__(f"{package} is not installed", hint=f"install it with: {installer.command(extra)}")


class EngineMissing(MissingError):
    default_code = "engine_missing"


class StudentError(MissingError):
    default_code = "student"


class DataMissing(MissingError):
    default_code = "data_missing"


class SolverError(DncError):
    """A model behind an address, or a local one, gave no usable answer.

    Attributes:
        charged: whether the provider may bill what was sent; False only if the request was turned down unread.
        complete: whether a complete reply came, which is paid for and is no answer.
        retry_after: seconds that the server asked to wait; None if it did not say.
    """

    exit_code = 5
    default_code = "solver"
    charged = True
    complete = False
    retry_after: float | None = None


class SolverCut(SolverError):
    default_code = "solver_cut"


class SolverFiltered(SolverError):
    default_code = "solver_filtered"


class SolverRefused(SolverError):
    default_code = "solver_refused"


class SolverEmpty(SolverError):
    default_code = "solver_empty"


class SolverBadReply(SolverError):
    default_code = "solver_bad_reply"


class NoPlan(SolverError):
    default_code = "no_plan"


class SolverBrokenReply(SolverError):
    default_code = "solver_broken_reply"
    retryable = True


class SolverConnection(SolverError):
    default_code = "solver_connection"
    retryable = True
    charged = False


class SolverTimeout(SolverError):
    default_code = "solver_timeout"
    retryable = True


class SolverServerError(SolverError):
    default_code = "solver_server"
    retryable = True


class SolverRejected(SolverError):
    default_code = "solver_rejected"
    charged = False


class SolverRateLimited(SolverError):
    default_code = "solver_rate_limited"
    retryable = True
    charged = False


class SolverWait(SolverRateLimited):
    default_code = "solver_wait"
    fatal = True


class SolverQuota(SolverError):
    default_code = "solver_quota"
    charged = False
    fatal = True


class SolverAuth(SolverError):
    default_code = "solver_auth"
    charged = False
    fatal = True


class SolverNotFound(SolverError):
    default_code = "solver_not_found"
    charged = False
    fatal = True


class SolverDown(SolverError):
    default_code = "solver_down"
    charged = False
    fatal = True


class BudgetReached(DncError):
    exit_code = 6
    default_code = "budget"
    fatal = True


class Cancelled(DncError):
    exit_code = 130
    default_code = "cancelled"


class Unexpected(DncError):
    default_code = "unexpected"


class RecordsFailed(DncError):
    exit_code = 7
    default_code = "records_failed"
