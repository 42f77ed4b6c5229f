"""What Slicer loads when it starts; `Testing/benchmarks/effect.py` measures how long that takes, and how long torch does."""

from support.effect_steps import in_another_process

START = """
import sys
import slicerhost
host = slicerhost.start()
heavy = {name: sys.modules.get(name) for name in ("numpy", "PIL", "torch")}
sys.modules.update(dict.fromkeys(heavy))  # an import of them fails
before = set(sys.modules)
import SAMSegmenter
SAMSegmenter.register()
print("modules", *sorted(set(sys.modules) - before))
for name, module in heavy.items():
    sys.modules.pop(name)
    if module:
        sys.modules[name] = module
editor = host.make_editor()
assert editor.effectByName("SAMSegmenter").self().wiring.panel
assert not host.exceptions, host.exceptions
slicerhost.stop()
"""


def test_registration_loads_three_modules_and_nothing_heavy():
    run = in_another_process(START)
    assert run.returncode == 0, run.stderr
    loaded = next(line for line in run.stdout.splitlines() if line.startswith("modules ")).split()[1:]
    assert loaded == ["SAMSegmenter", "SAMSegmenterLib", "SAMSegmenterLib.SegmentEditorEffect"]
