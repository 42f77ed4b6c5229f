"""Benchmarks: ours against upstream's predictor, side by side in one run; ratios, since machines differ.

    make benchmark                             about three minutes on two CPU cores
    make benchmark OPTIONS=--full              also 1024 px and 96 slices, about half an hour
    make benchmark OPTIONS=--memory            also peak memory from 24 to 800 slices, about a quarter of an hour
    make benchmark OPTIONS="--device cuda"     on a GPU

which is `python Testing/benchmarks/run.py OPTIONS` with Testing/library in PYTHONPATH.
Writes benchmark.json and benchmark.png into the folder given by --output (default: benchmark).
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot as plt
from memory import growth_beyond_volume_and_cache, measure, volume_mb
from previews import click_to_preview
from speed import Row, compare

matplotlib.use("Agg")

SLICES = {"ours": (24, 100, 200, 400, 800), "upstream": (24, 100, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("benchmark"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    report = {"machine": machine, "device": given.device, "speed": [], "previews": [], "memory": {}}
    rows = []
    print(f"{machine}, {given.device}\n\n| | upstream s | ours s | ratio | wanted |\n|---|---|---|---|---|")
    for row in compare(given.device, given.full):
        print(f"| {row.name} | {row.upstream_s:.2f} | {row.ours_s:.2f} | **{row.ratio:.2f}x** | {row.wanted or ''} |", flush=True)
        rows.append(row)
    print("\n| click to preview | first, ms | next, ms |\n|---|---|---|")
    for name, first, following in click_to_preview(given.device):
        print(f"| {name} | {first:.0f} | {following:.0f} |", flush=True)
        report["previews"].append({"what": name, "first_ms": first, "next_ms": following})
    if given.memory:
        report["memory"] = _memory()
    report["speed"] = [{**asdict(row), "ratio": row.ratio} for row in rows]
    (given.output / "benchmark.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _plot(rows, report["memory"], given.output / "benchmark.png")
    print(f"\n{given.output / 'benchmark.json'}\n{given.output / 'benchmark.png'}")


def _memory() -> dict[str, dict[int, float]]:
    print("\n| slices | ours, MB | upstream, MB | the volume, MB |\n|---|---|---|---|")
    peaks: dict[str, dict[int, float]] = {"ours": {}, "upstream": {}}
    for slices in SLICES["ours"]:
        for who in peaks:
            if slices in SLICES[who]:
                peaks[who][slices] = measure(who, slices)
        theirs = f"{peaks['upstream'][slices]:.0f}" if slices in peaks["upstream"] else ""
        print(f"| {slices} | {peaks['ours'][slices]:.0f} | {theirs} | {volume_mb(slices):.0f} |", flush=True)
    print(f"\nours beyond the volume and the cache's bound: {growth_beyond_volume_and_cache(peaks['ours']):.0f} MB")
    return peaks


def _plot(rows: list[Row], peaks: dict[str, dict[int, float]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2 if peaks else 1, figsize=(13 if peaks else 8, 0.5 * len(rows) + 1.5), squeeze=False)
    speed = axes[0][0]
    speed.barh([row.name for row in rows], [row.ratio for row in rows], color="#3d7ea6")
    speed.axvline(1, color="black", linewidth=0.8)
    speed.set_xscale("log")
    speed.invert_yaxis()
    speed.set_xlabel("times faster than upstream")
    for number, row in enumerate(rows):
        speed.text(row.ratio, number, f" {row.ratio:.1f}x", va="center")
    speed.margins(x=0.25)
    for who, by_slices in peaks.items():
        axes[0][1].plot(list(by_slices), list(by_slices.values()), marker="o", label=who)
    if peaks:
        axes[0][1].set(xlabel="slices", ylabel="peak memory, MB", ylim=(0, None))
        axes[0][1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
