"""How long 100 MB and 1 kB take, each way."""

from __future__ import annotations

from pathlib import Path

from report import SHOWN
from report import Medians


def draw(medians: Medians, path: Path) -> None:
    """Write a plot: bars of time on a logarithmic scale."""
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'proxystore'
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figures = [
        'peer get 100 MB',
        'whole path 100 MB',
        'peer get 1 kB',
        '1 kB beside 100 MB',
        'cold 1 kB',
    ]
    picture, axes = plt.subplots(figsize=(8, 4.5))
    names = [name for name in SHOWN if any(name in medians[f] for f in figures)]
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        points = [
            (at + number * width, medians[figure][name])
            for at, figure in enumerate(figures)
            if name in medians[figure]
        ]
        axes.bar(*zip(*points, strict=True), width=width, label=SHOWN[name])
    middle = width * (len(names) - 1) / 2
    axes.set_xticks([at + middle for at in range(len(figures))], figures, fontsize=8)
    axes.set(yscale='log', ylabel='seconds', title='Gets of a peer, median')
    axes.grid(True, axis='y', which='major', alpha=0.3)
    axes.legend(fontsize=8)
    picture.tight_layout()
    picture.savefig(path, metadata={'Date': None})
    plt.close(picture)
