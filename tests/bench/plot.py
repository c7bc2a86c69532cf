"""The picture of the storms: events a second, and calls of the API, against the number of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.storm import Storm

LOOK = {"unmirror": ("unmirror", "#1a7f5a", "o"), "P": ("a handler with the SDK", "#8a8f98", "s")}


def draw(path: Path, storms: Sequence[Storm], machine: str) -> None:
    """Write the picture as SVG, or as what the path's ending says; the same figures give the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "unmirror", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11}
    from matplotlib import pyplot as plt

    figure, (rates, calls) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for peer, (label, colour, marker) in LOOK.items():
        mine = sorted((storm for storm in storms if storm.peer == peer), key=lambda storm: storm.sessions)
        sessions = [storm.sessions for storm in mine]
        how = {"label": label, "color": colour, "marker": marker, "linewidth": 2}
        rates.loglog(sessions, [storm.rate for storm in mine], **how)
        calls.loglog(sessions, [storm.calls * 1000 / storm.events for storm in mine], **how)
    for axes, title in ((rates, "events a second"), (calls, "calls of the API for 1,000 events")):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("traffic mirror sessions in the project")
        axes.set_xticks(sorted({storm.sessions for storm in storms}))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,g}"))
        axes.grid(visible=True, which="major", color="#dddddd")
        axes.spines[["top", "right"]].set_visible(False)
    rates.legend(frameon=False)
    figure.suptitle(f"A storm of deletions: 64 senders, 20 ms a call, {machine}", fontsize=10, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
