"""`unmirror demo`: the real function, as functions-framework serves it, against the emulator, over HTTP."""

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import functions_framework
import requests
from werkzeug.serving import make_server

from handler.cli.commands.emulate import DELETED, LIVING, SERVER, variables
from handler.cli.options import Exit, as_json, example
from handler.cli.output import Output, count, print_error
from handler.cli.reports import words
from handler.emulator import sample
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Emulator

# From a server's deletion until its interface goes: within the function's own waiting, 0.25, 0.75 and 1.5 s.
PORTS_SECONDS = 0.8
# Of an event that is not answered as claimed, for the sake of a machine that is too slow for the above.
MAX_DELIVERIES = 5
# Variables of the surroundings that would lead the demo's function elsewhere.
FOREIGN = ("UNMIRROR_", "HUAWEICLOUD_", "RUNTIME_", "HC_", "OTEL_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@click.command(epilog=example("unmirror demo", exits="1 where the emulator's state is not as claimed"))
@as_json
def demo(output: Output) -> int:
    """Watch events detach deleted interfaces.

    Needs no cloud: starts the emulator and the real function, deletes an
    interface and a server, and sends the events over HTTP.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    output.text(f"{output.styled('unmirror', bold=True)}: an emulated project with 8 traffic mirror sessions and 30")
    output.text("servers, and the real function, loaded by functions-framework, over HTTP.")
    tenant, acts = sample.seed(), list[dict[str, Any]]()
    with Emulator(tenant.cloud, keys={ACCESS_KEY: SECRET_KEY}) as emulator:
        for act in play(tenant, emulator, _serve_function(emulator.url)):
            acts.append(act)
            _print_act(output, len(acts), act, tenant)
            if act["wrong"]:
                break
    wrong = acts[-1]["wrong"]
    output.json({"as_claimed": not wrong, "acts": acts})
    output.text()
    if wrong:
        hint = "run it again with --json, and please report what it prints"
        print_error(f"the emulator's state is not as claimed, it is not so that {'; '.join(wrong)}", hint=hint)
        return Exit.FAILED
    output.text(f"{output.styled('All is as claimed.', 'green')} Next: `unmirror emulate`, an API to try things on.")
    return Exit.DONE


def _serve_function(endpoint: str) -> str:
    """Serve the function on loopback, without its log, until the process ends; return its URL."""
    logging.disable()
    for name in [name for name in os.environ if name.upper().startswith(FOREIGN) or "MIR" in name.upper()]:
        del os.environ[name]
    os.environ.update(variables(endpoint), UNMIRROR_TRUST="platform")
    main = Path(__file__).parents[2] / "main.py"
    app = functions_framework.create_app("on_event", str(main), "http")  # type: ignore[no-untyped-call]
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def play(tenant: Tenant, emulator: Emulator, url: str) -> Iterator[dict[str, Any]]:
    """Yield the acts one by one, as `schemas/cli/demo.json` describes them."""
    deliver, cloud = partial(_deliver, tenant, emulator, url), tenant.cloud
    interface, server = tenant.interfaces[DELETED], tenant.servers[SERVER]
    deletion = trace("VPC", "ports", "deletePort", interface)
    cloud.delete_port(interface)
    yield {
        "title": f"The interface of {DELETED} is deleted",
        "text": "CTS tells of it: VPC, ports, deletePort. Three sessions list it.",
        **deliver(deletion, 200, "detached", removed=interface),
    }
    forged = trace("VPC", "ports", "deletePort", tenant.interfaces[LIVING])
    yield {
        "title": f"Somebody forges the same event about {LIVING}, which exists",
        "text": "The API still shows the interface: refused. The sender may try again later.",
        **deliver(forged, 503, "still_exists"),
    }
    yield {
        "title": "The first event is delivered once more",
        "text": "Delivery is at least once. There is nothing left to do, and that is a success.",
        **deliver(deletion, 200, "nothing_to_do"),
    }
    cloud.delete_server(server, ports="pending")
    threading.Timer(PORTS_SECONDS, cloud.finish_deletion, (server,)).start()
    yield {
        "title": f"The server {SERVER} is deleted, and its interface goes a moment later",
        "text": "The event names no interface: the function waits for the server's, then sweeps.",
        **deliver(trace("ECS", "ecs", "deleteServer", server), 200, "detached", removed=tenant.interfaces[SERVER]),
    }


def trace(service: str, resource_type: str, operation: str, resource_id: str) -> dict[str, Any]:
    """Return what FunctionGraph's CTS trigger hands on for a deletion that has ended (constructed)."""
    names = {"service_type": service, "resource_type": resource_type, "trace_name": operation}
    about = {"resource_id": resource_id, "project_id": PROJECT_ID, "user": {"name": "terraform"}}
    result = {"code": 204, "trace_rating": "normal", "response": {"status": "SUCCESS"}}
    return {"cts": {"trace_id": str(uuid.uuid4()), "time": int(time.time() * 1000), **names, **about, **result}}


def _deliver(
    tenant: Tenant, emulator: Emulator, url: str, event: Mapping[str, Any], status: int, outcome: str, removed: str = ""
) -> dict[str, Any]:
    """Deliver the event; return what came back, what it cost, and what is not as claimed."""
    before, counts, began = _sources(tenant), Counter(emulator.counts), time.monotonic()
    for _ in range(MAX_DELIVERIES):
        answer = requests.post(url, json=event, timeout=60, proxies={"no_proxy": "127.0.0.1"})
        if answer.status_code in (status, 200):
            break
    seconds, after, report = time.monotonic() - began, _sources(tenant), answer.json()
    calls = Counter(emulator.counts) - counts
    should_be = {name: [id_ for id_ in sources if id_ != removed] for name, sources in before.items()}
    claims = {
        f"the answer is {status}": answer.status_code == status,
        f"the outcome is {outcome}": report.get("outcome") == outcome,
        "every session has exactly the sources that it should": after == should_be,
        "what should change nothing asked for no change": bool(removed) == ("remove_sources" in calls),
    }
    return {
        "status": answer.status_code,
        "report": report,
        "seconds": seconds,
        "calls": calls,
        "before": before,
        "after": after,
        "wrong": [claim for claim, holds in claims.items() if not holds],
    }


def _sources(tenant: Tenant) -> dict[str, list[str]]:
    sources = tenant.cloud.sources(PROJECT_ID)
    return {name: list(sources[id_]) for name, id_ in tenant.sessions.items()}


def _print_act(output: Output, number: int, act: Mapping[str, Any], tenant: Tenant) -> None:
    """Print what was sent, what came of it, and the sessions that changed: what left them in brackets."""
    output.text()
    output.text(output.styled(f"{number}. {act['title']}", bold=True))
    output.text(act["text"])
    output.line(str(act["status"]), f"{words(act['report']['outcome'])}: {act['report']['reason']}")
    for name, before in act["before"].items():
        if (after := act["after"][name]) != before:
            named = zip(before, tenant.names(before), strict=True)
            output.line("session", name, " ".join(each if id_ in after else f"[{each}]" for id_, each in named))
    calls = ", ".join(f"{many} {name}" for name, many in act["calls"].items()) or "none"
    output.line("took", f"{act['seconds'] * 1000:,.0f} ms; {count(sum(act['calls'].values()), 'API call')}: {calls}")
    for claim in act["wrong"]:
        output.line("not so", claim)
