"""The function is killed, again and again, while events storm in; what was not answered is sent again."""

from __future__ import annotations

import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from tests.support.function import settings_for
from tests.support.processes import Disaster, function, kill
from tests.support.tenant import cts

SENDERS, KILLS = 8, 3


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_sent_again_after_a_kill_ends_as_if_nothing_had_happened(seed: int, tmp_path: Path) -> None:
    disaster, chance = Disaster(seed, 24), random.Random(seed)  # noqa: S311 - moments that a test can repeat
    unanswered = [cts(id_, number=n) for n, id_ in enumerate(disaster.dead)]
    kills = 0

    with Emulator(disaster.cloud, keys={ACCESS_KEY: SECRET_KEY}, latency=0.002) as emulator:
        while unanswered:
            with function(settings_for(emulator), tmp_path) as (child, url):
                left = chance.randint(3, 25) if (to_be_killed := kills < KILLS) else -1

                async def perhaps_kill(operation: str, child: subprocess.Popen[Any] = child) -> None:
                    nonlocal left, kills
                    left -= 1
                    if left == 0:
                        kills += 1
                        kill(child)

                def answered(event: dict[str, Any], url: str = url) -> bool:
                    try:
                        return requests.post(url, json=event, timeout=30).status_code == 200
                    except requests.RequestException:
                        return False

                emulator.hold = perhaps_kill
                with ThreadPoolExecutor(SENDERS) as pool:
                    done = list(pool.map(answered, unanswered))
            assert all(done) or to_be_killed
            unanswered = [event for event, is_done in zip(unanswered, done, strict=True) if not is_done]
    assert kills
    assert disaster.cloud.sources(PROJECT_ID) == disaster.expected
