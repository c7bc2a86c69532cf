"""The picture of the storms: events a second, and calls of the API, against the number of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.bench.storm import Storm

LOOK = {"unmirror": ("unmirror", "#2da44e", "o"), "SDK": ("a handler with the SDK", "#bf8700", "s")}
INK = "#848d97"
"""Of text and axes: legible on white and on a dark page; the picture itself has no ground."""


def draw(path: Path, storms: Mapping[str, Mapping[int, Storm]], machine: str) -> None:
    """Write the picture of storms by peer and sessions, as what the path's ending says; same figures, same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "unmirror", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11}
    mpl.rcParams |= dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    from matplotlib import pyplot as plt

    figure, (rates, calls) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for peer, (label, colour, marker) in LOOK.items():
        sessions, mine = storms[peer].keys(), storms[peer].values()
        how = {"label": label, "color": colour, "marker": marker, "linewidth": 2}
        rates.loglog(sessions, [storm.rate for storm in mine], **how)
        calls.loglog(sessions, [storm.calls * 1000 / storm.events for storm in mine], **how)
    for axes, title in ((rates, "events a second"), (calls, "calls of the API for 1,000 events")):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("traffic mirror sessions in the project")
        axes.set_xticks(sorted(storms["unmirror"]))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,g}"))
        axes.grid(visible=True, which="major", color=INK, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.patch.set_visible(False)
    calls.set_yticks((1_000, 2_000, 5_000, 10_000))
    rates.legend(frameon=False)
    figure.suptitle(f"A storm of deletions: 64 senders, 20 ms a call, {machine}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else None)
