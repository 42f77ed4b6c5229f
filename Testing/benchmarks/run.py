"""Benchmarks: ours against upstream's predictor, side by side in one run; ratios, since machines differ.

    make benchmark                             about three minutes on two CPU cores
    make benchmark OPTIONS=--full              also 1024 px and 96 slices, about half an hour
    make benchmark OPTIONS=--memory            also peak memory from 24 to 800 slices, about a quarter of an hour
    make benchmark OPTIONS="--device cuda"     on a GPU
    make benchmark OPTIONS="--structures VOLUME LABELS --before FOLDER"
                                               also all labels of a volume, against an earlier checkout, about ten minutes

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
from structures import compare_structures

matplotlib.use("Agg")

SLICES = {"ours": (24, 100, 200, 400, 800), "upstream": (24, 100, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--structures", nargs=2, type=Path, metavar=("VOLUME", "LABELS"))
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout of the build to compare --structures with")
    parser.add_argument("--output", type=Path, default=Path("benchmark"))
    given = parser.parse_args()
    if bool(given.structures) != bool(given.before):
        parser.error("--structures and --before belong together.")
    given.output.mkdir(parents=True, exist_ok=True)
    machine = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    report = {"machine": machine, "device": given.device, "speed": [], "previews": [], "structures": [], "memory": {}}
    rows = []
    print(f"{machine}, {given.device}")
    if given.structures:
        report["structures"] = _structures(*given.structures, given.before)
    print("\n| | upstream s | ours s | CPU s of both | ratio | wanted |\n|---|---|---|---|---|---|")
    for row in compare(given.device, given.full):
        cpu = f"{row.upstream.cpu_s:.2f} / {row.ours.cpu_s:.2f}"
        seconds = f"{row.upstream.wall_s:.2f} | {row.ours.wall_s:.2f} | {cpu}"
        print(f"| {row.name} | {seconds} | **{row.ratio:.2f}x** | {row.wanted or ''} |", flush=True)
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


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _structures(volume: Path, labels: Path, before: Path) -> list[dict]:
    print("\n| structures, one thread | wall s before / now | CPU s before / now | CPU ratio | peak MB before / now | voxels that differ |")
    print("|---|---|---|---|---|---|")
    found = []
    for row in compare_structures(volume, labels, before):
        one, other = row.before, row.now
        seconds = f"{one.wall_s:.1f} / {other.wall_s:.1f} | {one.cpu_s:.2f} / {other.cpu_s:.2f} | **{other.cpu_s / one.cpu_s:.2f}**"
        print(f"| {row.count} | {seconds} | {one.peak_mb:.0f} / {other.peak_mb:.0f} | {row.different} |", flush=True)
        found.append(asdict(row))
    return found


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
