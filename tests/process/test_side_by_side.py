"""Several worker processes and several instances in one storm: none knows of the others, and none spoils their work."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from handler.emulator.operations import Behaviour
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from tests.support.function import settings_for
from tests.support.processes import function
from tests.support.tenant import cts

SENDERS, INSTANCES, WORKERS = 12, 2, 2
REJECTS = Behaviour(absent_source="reject")
"""A removal of what another process has already removed fails as a whole."""


def test_what_several_processes_do_at_once_ends_as_if_one_had_done_it(tmp_path: Path) -> None:
    """Every event reaches every instance, each of which has two workers; some sources are in three sessions."""
    cloud, chance = Cloud(3), random.Random(3)  # noqa: S311 - a storm that can be repeated
    ports = [cloud.add_port(PROJECT_ID) for _ in range(60)]
    sessions = [cloud.add_session(PROJECT_ID, sources=ports[at : at + 10]) for at in range(0, 60, 5) if at < 55]
    dead = chance.sample(ports, 36)
    expected = {id_: tuple(s for s in cloud.sources(PROJECT_ID)[id_] if s not in dead) for id_ in sessions}
    for port in dead:
        cloud.delete_port(port)

    with (
        Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}, latency=0.005, behaviour=REJECTS) as emulator,
        ExitStack() as stack,
    ):
        urls = []
        for number in range(INSTANCES):
            (folder := tmp_path / str(number)).mkdir()
            urls.append(stack.enter_context(function(settings_for(emulator, WORKERS=str(WORKERS)), folder))[1])
        deliveries = [(url, cts(port, number=n)) for n, port in enumerate(dead) for url in urls]

        def deliver(delivery: tuple[str, dict[str, Any]]) -> None:
            url, event = delivery
            answer = requests.post(url, json=event, timeout=30)
            assert answer.status_code == 200, answer.text
            assert not cloud.uses(event["cts"]["resource_id"]), answer.text

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(deliver, deliveries))
        assert INSTANCES <= emulator.counts["list_sessions"] <= len(deliveries)
    assert cloud.sources(PROJECT_ID) == expected
