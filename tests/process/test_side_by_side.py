"""Several worker processes and several instances in one storm: none knows of the others, and none spoils their work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from handler.emulator.operations import Behaviour
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from tests.support.function import settings_for
from tests.support.processes import Disaster, function
from tests.support.tenant import cts

SENDERS, INSTANCES, WORKERS = 12, 2, 2
REJECTS = Behaviour(absent_source="reject")
"""A removal of what another process has already removed fails as a whole."""


def test_what_several_processes_do_at_once_ends_as_if_one_had_done_it(tmp_path: Path) -> None:
    """Every event reaches every instance, each of which has two workers; some sources are in three sessions."""
    disaster = Disaster(3, 36)
    cloud = disaster.cloud
    with (
        Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}, latency=0.005, behaviour=REJECTS) as emulator,
        ExitStack() as stack,
    ):
        urls = []
        for number in range(INSTANCES):
            (folder := tmp_path / str(number)).mkdir()
            urls.append(stack.enter_context(function(settings_for(emulator, WORKERS=str(WORKERS)), folder))[1])
        deliveries = [(url, cts(port, number=n)) for n, port in enumerate(disaster.dead) for url in urls]

        def deliver(delivery: tuple[str, dict[str, Any]]) -> None:
            url, event = delivery
            answer = requests.post(url, json=event, timeout=30)
            assert answer.status_code == 200, answer.text
            assert not cloud.uses(event["cts"]["resource_id"]), answer.text

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(deliver, deliveries))
        assert INSTANCES <= emulator.counts["list_sessions"] <= len(deliveries)
    assert cloud.sources(PROJECT_ID) == disaster.expected
