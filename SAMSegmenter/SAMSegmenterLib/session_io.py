"""Saving a session and taking it up again: prompts, and everything that passes have found.

The file is a safetensors file: arrays, with a JSON document of the rest in its header. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .composition import PassKey
from .errors import InputError
from .files import replacing
from .frames import FrameStack
from .models.loading import Model
from .prompts_io import prompts_from_dict, prompts_to_dict
from .propagation.options import Options
from .propagation.quality import Appearance, Finding
from .propagation.results import SliceResult
from .propagation.track import Seed, Track
from .session import Session
from .view import View
from .volume import Volume
from .window import Window

FORMAT = "SAMSegmenter session"
VERSION = 3


def save_session(session: Session, path: Path) -> None:
    """Write a session to `path`; what was there is replaced only when everything is written.

    Raises:
        OutputError: the file cannot be written.
    """
    composition, segments = session.composition, session.prompts.segments
    seeds = [
        (segment.name, composition.seed(segment, keyframe.slice))
        for segment in segments
        for keyframe in segment.keyframes
        if composition.seed(segment, keyframe.slice)
    ]
    tracks = [item for segment in segments for item in composition.live(segment)]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "volume": fingerprint(session.stack.volume),
        "model": session.model.sha256,
        "window": [session.stack.window.low, session.stack.window.high],
        "options": asdict(session.options),
        "prompts": prompts_to_dict(session.prompts),
        "seeds": [{"segment": name, "result": _told(s.result), "appearance": asdict(s.appearance)} for name, s in seeds],
        "passes": [_track_to_dict(*item) for item in tracks],
    }
    arrays = {f"seed{n}": seed.result.stored for n, (_, seed) in enumerate(seeds)}
    arrays |= {f"pass{n}": np.stack([r.stored for r in track.results]) for n, (_, track) in enumerate(tracks) if track.results}
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(save(arrays, {"session": json.dumps(document)}))


def restore_session(path: Path, volume: Volume, model: Model, device: str = "auto") -> Session:
    """Take up a saved session on the same volume, with the same model.

    Masks are there at once, without the network. Passes that had not ended start again at their keyframes if they are to go on.

    Raises:
        InputError: the file is missing, damaged, no session, or of another volume or model.
    """
    path = Path(path)
    document, arrays = _read(path)
    if document["volume"] != fingerprint(volume):
        raise InputError(f"{path}: this session belongs to another volume than {volume.name}.")
    if document["model"] != model.sha256:
        raise InputError(f"{path}: this session was made with another model than {model.title}.")
    try:
        stack = FrameStack(volume, document["prompts"]["axis"], Window(*document["window"]))
        prompts = prompts_from_dict(document["prompts"], stack, path.name, complete=False)
        session = Session(stack, model, Options(**document["options"]), device, prompts)
        for number, entry in enumerate(document["seeds"]):
            _take_up_seed(session, entry, arrays[f"seed{number}"])
        for number, entry in enumerate(document["passes"]):
            _take_up_track(session, entry, arrays.get(f"pass{number}", ()))
        for segment in prompts.segments:
            session.composition.judge(segment)
            if session.options.refine:
                list(session.composition.refine(segment, session.engine.runner.surviving))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: the session is damaged ({type(error).__name__}: {error}).") from error
    return session


def fingerprint(volume: Volume) -> str:
    """Tells volumes apart by geometry and voxels, whatever their file is called."""
    digest = hashlib.sha256((np.round(volume.ijk_to_ras, 4) + 0.0).tobytes())
    digest.update(f"{volume.voxels.shape} {volume.voxels.dtype}".encode())
    for slice_ in volume.voxels:
        digest.update(np.ascontiguousarray(slice_))
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with safe_open(path, framework="numpy") as file:
            document = json.loads((file.metadata() or {}).get("session", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file, not a dict)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a session: it is damaged or something else ({error}).") from error
    if not isinstance(document, dict) or (document.get("format"), document.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: is not a session of this program, or of another version of it.")
    return document, arrays


def _told(result: SliceResult) -> dict[str, Any]:
    """A result without its logits."""
    return {"slice": result.slice, "view": asdict(result.view), "score": result.score, "quality": result.quality}


def _result(told: dict[str, Any], stored: np.ndarray) -> SliceResult:
    return SliceResult(told["slice"], View(**told["view"]), stored, told["score"], told["quality"])


def _track_to_dict(key: PassKey, track: Track) -> dict[str, Any]:
    segment, start, direction = key
    told = {"segment": segment, "start": start, "direction": direction, "last": track.last}
    findings = [asdict(finding) for finding in track.findings]
    return {**told, "results": [_told(result) for result in track.results], "findings": findings}


def _take_up_seed(session: Session, entry: dict[str, Any], stored: np.ndarray) -> None:
    result = _result(entry["result"], stored)
    keyframe = session.prompts.segment(entry["segment"]).keyframe(result.slice)
    mask = keyframe.mask.mask if keyframe.mask else result.mask(session.stack.shape)
    session.composition.seeds[entry["segment"], result.slice] = keyframe, Seed(result, mask, Appearance(**entry["appearance"]))


def _take_up_track(session: Session, entry: dict[str, Any], stored: np.ndarray | tuple[()]) -> None:
    segment, start, direction = entry["segment"], entry["start"], entry["direction"]
    _, seed = session.composition.seeds[segment, start]
    results = [_result(told, array) for told, array in zip(entry["results"], stored, strict=True)]
    findings = [Finding(**{**each, "appearance": Appearance(**each["appearance"])}) for each in entry["findings"]]
    track = Track(seed, direction, entry["last"], None, seed.result.view, None, seed.mask, results=results, findings=findings)
    session.composition.tracks[segment, start, direction] = track
