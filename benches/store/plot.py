"""Time over size, log-log, one line per system."""

from __future__ import annotations

from pathlib import Path

Medians = dict[str, dict[str, dict[str, float]]]


def draw(
    medians: Medians, shown: dict[str, str], sizes: dict[str, int], folder: Path
) -> None:
    """Writes put.svg, get.svg and get-sum.svg."""
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'proxystore'
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for figure in ('put', 'get', 'get+sum'):
        picture, axes = plt.subplots(figsize=(7, 4.5))
        for name, label in shown.items():
            points = [
                (size, medians[f'array {word}'][name][figure])
                for word, size in sizes.items()
                if name in medians.get(f'array {word}', {})
            ]
            if len(points) < 3:
                continue
            ours = name.startswith('ours')
            axes.plot(
                *zip(*points, strict=True),
                marker='o',
                label=label,
                linewidth=2.5 if ours else 1.2,
                linestyle='-' if ours else '--',
            )
        axes.set(
            xscale='log', yscale='log', xlabel='bytes of the array', ylabel='seconds'
        )
        axes.set_title(f'{figure} of a float64 array, median')
        axes.grid(True, which='major', alpha=0.3)
        axes.legend(fontsize=8)
        picture.tight_layout()
        picture.savefig(
            folder / f'{figure.replace("+", "-")}.svg', metadata={'Date': None}
        )
        plt.close(picture)
