"""Several that download one model at once take turns: it is fetched once, and waiting can be cancelled."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import Cancelled
from SAMSegmenterLib.models.storage import download, store
from support.loopback import is_slow
from support.published import CONTENT, SHA256

pytestmark = pytest.mark.usefixtures("downloading")


def test_two_downloads_of_one_model_at_once_fetch_it_once(entry, host):
    host.script.append(is_slow(0.02, 10))
    found = []
    threads = [threading.Thread(target=lambda: found.append(download.fetch(entry))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in found] == [True] * 3
    assert len(host.asked) == 1


def test_two_programs_that_download_one_model_at_once_fetch_it_once(entry, host):
    host.script.append(is_slow(0.1, 20))
    published = {"url": host.url, "bytes": len(CONTENT), "sha256": SHA256}
    code = (
        "from dataclasses import replace\nfrom SAMSegmenterLib.models import catalog\nfrom SAMSegmenterLib.models.storage import download\n"
        f"print(download.fetch(replace(catalog.entry({entry.id!r}), **{published!r})).stat().st_size)"
    )
    library = Path(store.__file__).parents[3]
    programs = [subprocess.Popen([sys.executable, "-c", code], cwd=library, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [program.communicate(timeout=60)[0].strip() for program in programs] == [str(len(CONTENT))] * 2
    assert len(host.asked) == 1


def test_waiting_for_another_program_can_be_cancelled(entry, host, models_folder):
    models_folder.mkdir()
    with store.turn(models_folder / entry.file), pytest.raises(Cancelled, match="another program"):
        download.fetch(entry, cancel=lambda: True)
