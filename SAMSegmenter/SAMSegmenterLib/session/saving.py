"""Saves a session and restores it: prompts, and everything that passes have found.

The file is a safetensors file: arrays, with a JSON document of the rest in its header. Nothing in it can run code.
Masks come back bit for bit: refined ones and the limits by which passes were judged are stored, not computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import InputError
from ..evidence.appearance import Appearance
from ..fields import Fields
from ..files import replacing
from ..image.stack import AXES, FrameStack
from ..image.view import View
from ..image.volume import Volume
from ..image.window import Window
from ..keyframes.seed import Seed
from ..models.interfaces import Model
from ..network.device import pick_device
from ..network.options import Options
from ..network.slice_result import SliceResult
from ..prompts.json_file import prompts_from_dict, prompts_to_dict
from ..prompts.types import PromptSet, Segment
from ..propagation.refinement import Gap
from ..propagation.track import Track
from ..propagation.trust import Finding
from .composition import Composition, GapKey, PassKey, Refined
from .session import Session

FORMAT = "SAMSegmenter session"
VERSION, OLDER = 4, 3
STORED = {"I8", "F32"}  # types of logits, as safetensors calls them
LARGEST_SIDE = 4096  # of logits

Arrays = dict[str, np.ndarray]


def save_session(session: Session, path: Path) -> None:
    """Write a session to `path`. An earlier file is replaced only when everything is written.

    Raises:
        OutputError: the file cannot be written.
    """
    state = session.state()
    seeds = [(segment, seed) for (segment, _), (_, seed) in state.seeds.items()]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "volume": {"sha256": _voxels_sha256(session.stack.volume), "ijk_to_ras": session.stack.volume.ijk_to_ras.ravel().tolist()},
        "model": session.model.sha256,
        "window": [float(session.stack.window.low), float(session.stack.window.high)],
        "options": asdict(session.options),
        "prompts": prompts_to_dict(session.prompts),
        "seeds": [{"segment": name, "result": _told(s.result), "appearance": asdict(s.appearance)} for name, s in seeds],
        "passes": [_track_to_dict(*item) for item in state.tracks.items()],
        "gaps": [_gap_to_dict(*item) for item in state.gaps.items()],
    }
    arrays = {f"seed{n}": _joined([seed.result]) for n, (_, seed) in enumerate(seeds)}
    arrays |= {f"pass{n}": _joined(track.results) for n, track in enumerate(state.tracks.values()) if track.results}
    arrays |= {f"gap{n}": _joined(refined.results.values()) for n, refined in enumerate(state.gaps.values()) if refined.results}
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(save(arrays, {"session": json.dumps(document, default=np.generic.item)}))


def restore_session(path: Path, volume: Volume, model: Model, device: str = "auto") -> Session:
    """Return a saved session, on the same volume and with the same model.

    Masks are there at once, without the network. Passes that had not ended go the same way once more if they are to go on; what they
    had found stays meanwhile.

    Raises:
        InputError: the file is missing, damaged, no session, or of another volume or model; or there is no such device.
    """
    path = Path(path)
    pick_device(device)
    data, arrays = _read(path)
    try:
        document = Fields(data, "")
        is_same, made_with = _is_of(document, volume), document.value("model")
    except InputError as error:
        raise _damaged(path, error) from error
    if not is_same:
        raise InputError(f"{path}: this session belongs to another volume than {volume.name}.")
    if made_with != model.sha256:
        raise InputError(f"{path}: this session was made with another model than {model.title}.")
    try:
        return _restored(document, arrays, volume, model, device)
    except InputError as error:
        raise _damaged(path, error) from error


def fingerprint(volume: Volume) -> str:
    """Return a hash of a volume's voxels and geometry, the latter to a ten-thousandth of a mm, as sessions of version 3 use it."""
    digest = hashlib.sha256((np.round(volume.ijk_to_ras, 4) + 0.0).tobytes())
    _digest_voxels(digest, volume)
    return digest.hexdigest()


def _voxels_sha256(volume: Volume) -> str:
    digest = hashlib.sha256()
    _digest_voxels(digest, volume)
    return digest.hexdigest()


def _digest_voxels(digest: Any, volume: Volume) -> None:
    digest.update(f"{volume.voxels.shape} {volume.voxels.dtype}".encode())
    for slice_ in volume.voxels:
        digest.update(np.ascontiguousarray(slice_))


def _is_of(document: Fields, volume: Volume) -> bool:
    """Return whether a session is of `volume`: of the same voxels at the same places, to a part of a voxel."""
    if document.value("version") == OLDER:
        return document.value("volume") == fingerprint(volume)
    told = document.inner("volume")
    matrix = np.reshape(told.numbers("ijk_to_ras", 16), (4, 4))
    grid = Volume(np.broadcast_to(np.uint8(0), volume.voxels.shape[:3]), matrix, "the session's volume")
    return grid.same_grid(volume) and told.value("sha256") == _voxels_sha256(volume)


def _read(path: Path) -> tuple[Any, Arrays]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("session", "{}")
            names = [name for name in file.keys() if file.get_slice(name).get_dtype() in STORED]  # noqa: SIM118 (a file, not a dict)
            arrays = {name: file.get_tensor(name) for name in names}
        document = json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as a session: it is damaged or something else ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") not in (VERSION, OLDER):
        raise InputError(f"{path}: is not a session of this program, or of another version of it.")
    return document, arrays


def _damaged(path: Path, error: InputError) -> InputError:
    return InputError(f"{path}: the session is damaged ({str(error).rstrip('.')}). Take an older copy of the file.")


def _restored(document: Fields, arrays: Arrays, volume: Volume, model: Model, device: str) -> Session:
    prompted = document.inner("prompts")
    axis = prompted.choice("axis", AXES) if "axis" in prompted else AXES[-1]
    stack = FrameStack(volume, axis, Window(*document.numbers("window", 2)))
    prompts = prompts_from_dict(document.value("prompts"), stack, "prompts", complete=False)
    options = document.inner("options").as_a(Options)
    state = Composition(stack, options.early_stop)
    for number, entry in enumerate(document.objects("seeds")):
        _take_up_seed(state, prompts, entry, arrays.get(f"seed{number}"))
    for number, entry in enumerate(document.objects("passes")):
        _take_up_track(state, prompts, entry, arrays.get(f"pass{number}"))
    if document.value("version") != OLDER:
        for number, entry in enumerate(document.objects("gaps")):
            _take_up_gap(state, prompts, entry, arrays.get(f"gap{number}"))
    session = Session.from_state(model, prompts, state, options, device)
    if document.value("version") == OLDER:
        session.prompts = prompts  # judges the passes: version 3 stores neither that nor what was refined
        list(session.refine())
    return session


# ---------------------------------------------------------------- results


def _joined(results: Iterable[SliceResult]) -> np.ndarray:
    """Return the logits of results as one flat array: they need not be of the same size."""
    return np.concatenate([result.stored.reshape(-1) for result in results])


def _told(result: SliceResult) -> dict[str, Any]:
    """Return a result without its logits, as plain values."""
    side = len(result.stored)
    return {"slice": result.slice, "view": asdict(result.view), "score": result.score, "quality": result.quality, "side": side}


def _results(told: Sequence[Fields], joined: np.ndarray | None, slices: int) -> list[SliceResult]:
    """Return results with their logits, checked against a stack with this number of `slices`.

    Raises:
        InputError: the stored logits do not match.
    """
    if not told:
        return []
    if joined is None or not joined.ndim or (joined.dtype == np.float32 and not np.isfinite(joined).all()):
        raise InputError("logits are missing, or no numbers")
    sides = [each.whole("side", 1, LARGEST_SIDE) if "side" in each else joined.shape[-1] for each in told]  # version 3 stacks them
    if sum(side**2 for side in sides) != joined.size:
        raise InputError(f"there are {joined.size} logits, expected {sum(side**2 for side in sides)}")
    parts = np.split(joined.reshape(-1), np.cumsum(np.square(sides))[:-1])
    return [_result(each, part.reshape(side, side), slices) for each, part, side in zip(told, parts, sides, strict=True)]


def _result(told: Fields, stored: np.ndarray, slices: int) -> SliceResult:
    view = told.inner("view").as_a(View)
    if min(view.width, view.height, view.size) < 1:
        raise InputError(f"a view of {view.width} x {view.height} pixels")
    return SliceResult(told.whole("slice", 0, slices - 1), view, stored, told.number("score"), told.number("quality"))


# ---------------------------------------------------------------- keyframes, passes, gaps


def _take_up_seed(state: Composition, prompts: PromptSet, entry: Fields, stored: np.ndarray | None) -> None:
    [result] = _results([entry.inner("result")], stored, len(state.stack))
    segment = _segment(prompts, entry)
    keyframe = segment.keyframe(result.slice)
    if keyframe is None:
        raise InputError(f"segment {segment.name!r} has no prompts on slice {result.slice}")
    mask = keyframe.mask.mask if keyframe.mask else result.mask(state.stack.shape)
    state.seeds[segment.name, result.slice] = keyframe, Seed(result, mask, entry.inner("appearance").as_a(Appearance))


def _track_to_dict(key: PassKey, track: Track) -> dict[str, Any]:
    segment, start, direction = key
    return {
        "segment": segment,
        "start": start,
        "direction": direction,
        "last": track.last,
        "may_end": track.may_end,
        "least_trust": track.least_trust,
        "results": [_told(result) for result in track.results],
        "findings": [asdict(finding) for finding in track.findings],
    }


def _take_up_track(state: Composition, prompts: PromptSet, entry: Fields, stored: np.ndarray | None) -> None:
    slices = len(state.stack)
    segment, start, direction = _segment(prompts, entry), entry.whole("start", 0, slices - 1), entry.choice("direction", (-1, 1))
    seed = state.seed(segment, start)
    if seed is None:
        raise InputError(f"a pass from slice {start} without its keyframe")
    results = _results(entry.objects("results"), stored, slices)
    findings = [each.as_a(Finding) for each in entry.objects("findings")]
    way = range(start + direction, start + direction * (len(results) + 1), direction)
    if [result.slice for result in results] != list(way) or len(findings) != len(results):
        raise InputError(f"the pass from slice {start} does not go from slice to slice")
    last = entry.whole("last", 0, slices - 1)
    track = Track(seed, direction, last, None, seed.result.view, None, seed.mask, results=results, findings=findings)
    if "may_end" in entry:  # version 3 does not tell
        track.judge(entry.choice("may_end", (False, True)), entry.number("least_trust"))
    state.tracks[segment.name, start, direction] = track


def _gap_to_dict(key: GapKey, refined: Refined) -> dict[str, Any]:
    segment, below, above = key
    return {
        "segment": segment,
        "below": below,
        "above": above,
        "first": refined.gap.first,
        "last": refined.gap.last,
        "valid": list(refined.valid),
        "told": refined.told,
        "results": [_told(result) for result in refined.results.values()],
    }


def _take_up_gap(state: Composition, prompts: PromptSet, entry: Fields, stored: np.ndarray | None) -> None:
    slices = len(state.stack)
    below, above = (None if entry.value(name) is None else entry.whole(name, 0, slices - 1) for name in ("below", "above"))
    segment = _segment(prompts, entry)
    key = segment.name, below, above
    passes = state.passes(segment, below, above)
    gap = Gap(passes, entry.whole("first", 0, slices - 1), entry.whole("last", 0, slices - 1))
    results = _results(entry.objects("results"), stored, slices)
    if not any(passes) or any(end is not None and track is None for end, track in zip((below, above), passes, strict=True)):
        raise InputError(f"a gap between slices {below} and {above} without its passes")
    if [result.slice for result in results] != sorted({result.slice for result in results}):
        raise InputError("refined slices are not in order")
    valid = tuple(int(n) for n in entry.numbers("valid", sum(track is not None for track in passes)))
    told = entry.whole("told", 0, len(results))
    state.gaps[key] = Refined(gap, valid, {result.slice: result for result in results}, told)


def _segment(prompts: PromptSet, entry: Fields) -> Segment:
    return prompts.segment(entry.choice("segment", [segment.name for segment in prompts.segments]))
