"""What is measured and traced of each delivery. By default nothing is; `otel.py` does it by OpenTelemetry."""

import logging
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from handler.errors import UnmirrorError
from handler.model import ApiCall
from handler.observability import logs
from handler.observability.trace_context import TraceContext
from handler.report import Report, problem


class Instrumentation:
    """Observes deliveries, API calls and workers; this one only logs accidents. Thread-safe, and raises nothing."""

    def delivery(self, parent: TraceContext | None) -> AbstractContextManager[TraceContext | None]:
        """Return what observes a delivery in its own thread; `parent` is the sender's span.

        It gives the span of the delivery, or `parent` where none is made, for log lines and API calls to name.
        """
        return nullcontext(parent)

    def on_finished(self, report: Report) -> None:
        """Take what became of the delivery that this thread is in; not called when the delivery raised."""

    def on_call(self, call: ApiCall, traces: Sequence[TraceContext]) -> None:
        """Take an API call that has ended, once for all deliveries of its batch; `traces` are theirs."""

    def on_rejected(self, error: Exception) -> UnmirrorError:
        """Take why a delivery was not worked on and log it: the places and the rules, none of the values.

        Returns the error to answer with: another one where what was raised is a defect.
        """
        if not isinstance(error, UnmirrorError):
            return self.on_unhandled(error)
        if type(error) is not UnmirrorError:  # that is a defect, which has its line
            about = {"envelope": getattr(error, "envelope", None), "problem": problem(error)}
            logs.log_event(logs.level_of(error), f"delivery.{error.slug}", str(error), **about)
        return error

    def on_abandoned(self, project_id: str) -> None:
        """Take a batch of a worker that outlasted all its deliveries and was abandoned; log it."""
        message = "a batch was abandoned with calls under way: the VPC API or the way to it hangs"
        logs.log_event(logging.ERROR, "batch.abandoned", message, project_id=project_id)

    def on_unhandled(self, error: BaseException) -> UnmirrorError:
        """Take a defect and log where it is: the kind of error and the places that it passed, none of the values.

        Returns the error to answer its deliveries with.
        """
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        logs.log_event(logging.CRITICAL, "unhandled_error", f"a defect: {type(error).__name__}", places=places)
        return UnmirrorError("a defect in unmirror; its log has the place")
