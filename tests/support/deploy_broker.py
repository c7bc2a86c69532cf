"""A broker that sends as Knative does: which answers it repeats, how long it waits, what becomes a dead letter.

Sources: CloudEvents delivery in the specification of Knative Eventing (data plane, "HTTP response codes") and its
`RetryConfig`. Time is virtual: a wait costs none, and what was waited is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

CloudEvent = dict[str, Any]

REPEATED = frozenset({404, 408, 409, 429})


def repeats(status: int | None) -> bool:
    """Tell whether the event is sent again after this answer; None: there was none."""
    return status is None or status in REPEATED or status >= 500


@dataclass
class Broker:
    """Sends events to one subscriber, many at a time, until each is done or dead."""

    url: str
    retry: int
    """Deliveries after the first one."""
    delay: float = 1.0
    """Seconds before the first repetition; each later one waits twice as long."""
    loses: Callable[[CloudEvent, int], bool] = lambda _event, _attempt: False
    """Whether the answer to this attempt is lost on its way back."""
    waited: float = 0.0
    done: list[str] = field(default_factory=list)
    replies: list[CloudEvent] = field(default_factory=list)
    dead: list[CloudEvent] = field(default_factory=list)
    """With `knativeerrorcode` and `knativeerrordata`, as Knative hands them to the sink, the latter as plain text."""

    def deliver(self, events: Iterable[CloudEvent], *, before_round: Callable[[int], None] = lambda _: None) -> None:
        """Send all events and repeat as the answers say; `before_round` is told the number of the attempt."""
        pending = list(events)
        with ThreadPoolExecutor(16) as senders:
            for attempt in range(self.retry + 1):
                before_round(attempt)
                answers = list(senders.map(lambda event, attempt=attempt: self._send(event, attempt), pending))
                again = []
                for event, (status, said) in zip(pending, answers, strict=True):
                    if status is not None and status < 300:
                        self.done.append(event["id"])
                    elif repeats(status) and attempt < self.retry:
                        again.append(event)
                    else:
                        self.dead.append({**event, "knativeerrorcode": status or 0, "knativeerrordata": said})
                pending = again
                if not pending:
                    return
                self.waited += self.delay * 2**attempt

    def _send(self, event: CloudEvent, attempt: int) -> tuple[int | None, str]:
        attributes = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
        headers = {**attributes, "Content-Type": "application/json"}
        try:
            answer = requests.post(self.url, json.dumps(event["data"]), headers=headers, timeout=60)
        except requests.RequestException as error:
            return None, str(error)
        if self.loses(event, attempt):
            return None, "lost"
        if answer.status_code < 300 and answer.content:
            # A broker takes an empty answer, or a CloudEvent that goes on from here; all else is a failed delivery.
            if "ce-type" not in answer.headers:
                return None, "an answer that is no event"
            self.replies.append({"type": answer.headers["ce-type"], "data": answer.json()})
        return answer.status_code, answer.text
