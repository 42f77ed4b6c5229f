"""Pickles read without running anything: an interpreter that knows plain containers and leaves everything else opaque.

The opcodes are those of Python's `pickletools` that ``torch.save`` writes in protocols 1 to 5. Names of classes and functions are
only compared with lists, never looked up; nothing is imported or called except what the caller provides.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

LARGEST_PICKLE = 64 << 20  # bytes; the largest network has 0.3 MB
MOST_OPCODES = 2_000_000  # each takes at most 100 bytes of memory besides what it copies from the file
KEYS = str, int, float, bool, bytes, type(None)  # hashing other types may recurse as deep as a file likes
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}

VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
VALUES |= {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class PickleError(ValueError):
    """A pickle that is damaged, or beyond this interpreter; the message continues a sentence after the file's name, without a full stop."""


class ForbiddenName(PickleError):
    """A pickle that wants a class or function that is on no list; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Name(NamedTuple):
    """The name of a class or function in a file."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """A stand-in for an object that is not wanted; the object's content is dropped.

    Attributes:
        kind: the name of its class, or of the function that would have made it.
        is_tensor: whether it stands for numbers, of a kind that no network here is built from.
    """

    kind: str
    is_tensor: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The meaning of the names in a pickle.

    Attributes:
        calls: by name, what a call gives, from its arguments; they raise `PickleError` for arguments that cannot be right.
        is_known: whether objects of another name are left opaque; if not, the pickle is refused.
        stored: what stands for data outside the pickle, from its persistent ID.
    """

    calls: Mapping[str, Callable[[tuple], Any]]
    is_known: Callable[[Name], bool]
    stored: Callable[[Any], Any]


def interpret(content: bytes, vocabulary: Vocabulary) -> Any:
    """Return the content of a pickle: plain values, lists, tuples, dicts, `Name`, `Opaque`, and what `vocabulary` makes.

    Raises:
        ForbiddenName: it wants a class or function that is not known.
        PickleError: it is damaged, or holds opcodes that ``torch.save`` does not write.
    """
    if len(content) > LARGEST_PICKLE:
        raise PickleError(f"its description of the weights has {len(content) >> 20} MB, which no network needs")
    machine = _Machine(vocabulary)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count == MOST_OPCODES:
                raise PickleError(f"its description of the weights has more than {MOST_OPCODES} steps, which no network needs")
            machine.step(opcode.name, argument)
    except PickleError:
        raise
    except (ValueError, IndexError, OverflowError) as error:  # from genops, and from an empty stack
        raise PickleError(f"its description of the weights is damaged: {str(error)[:100]}") from error
    return machine.result()


def expect(holds: bool, what: str = "its description of the weights is damaged") -> None:
    """Raise `PickleError` with the message `what` unless `holds`."""
    if not holds:
        raise PickleError(what)


class _Machine:
    """The stack on which a pickle builds its object."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what lies under each mark
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Run one opcode."""
        if name in VALUES:
            self._stack.append(argument)
        elif name in CONSTANTS:
            self._stack.append(CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name not in _IGNORED:
            run = _STEPS.get(name)
            expect(run is not None, f"it holds the opcode {name}, which PyTorch never writes")
            assert run is not None
            run(self, argument)

    def result(self) -> Any:
        """Return the object, after all opcodes have run."""
        expect(len(self._stack) == 1 and not self._below)
        return self._stack[0]

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def marked(self, _: Any = None) -> list[Any]:
        """Remove everything above the last mark, and return it."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def drop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.marked()

    def remember(self, key: int | None) -> None:
        self._memo[len(self._memo) if key is None else key] = self._stack[-1]

    def recall(self, key: int) -> None:
        expect(key in self._memo)
        self._stack.append(self._memo[key])

    def tuple_of_marked(self, _: Any) -> None:
        items = self.marked()
        self._stack.append(tuple(items))

    def tuple_of(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def frozen_set(self, _: Any) -> None:
        self.marked()
        self._stack.append(Opaque("frozenset"))

    def append(self, _: Any) -> None:
        item = self._stack.pop()
        self._extend([item])

    def append_marked(self, _: Any) -> None:
        self._extend(self.marked())

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def set_marked(self, _: Any) -> None:
        self._update(self.marked())

    def add_marked(self, _: Any) -> None:
        self.marked()
        expect(isinstance(self._stack[-1], Opaque))

    def global_name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def stacked_name(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        expect(isinstance(module, str) and isinstance(name, str))
        self._name(module, name)

    def call(self, _: Any) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        expect(isinstance(arguments, tuple) and isinstance(called, (Name, Opaque)))
        known = self._vocabulary.calls.get(str(called)) if isinstance(called, Name) else None
        self._stack.append(known(arguments) if known else Opaque(str(called) if isinstance(called, Name) else called.kind))

    def call_with_names(self, _: Any) -> None:
        self._stack.pop()
        self.call(None)

    def fill_in(self, _: Any) -> None:
        """Drop the state of an object: what is wanted has none, except attributes of an OrderedDict."""
        self._stack.pop()
        expect(bool(self._stack))

    def stored(self, _: Any) -> None:
        self._stack.append(self._vocabulary.stored(self._stack.pop()))

    def _name(self, module: str, name: str) -> None:
        found = Name(PYTHON_2.get(module, module), name)
        expect(str(found).isprintable())
        if str(found) not in self._vocabulary.calls and not self._vocabulary.is_known(found):
            raise ForbiddenName(str(found)[:100])
        self._stack.append(found)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        expect(isinstance(target, (list, Opaque)))
        if isinstance(target, list):
            target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        expect(isinstance(target, (dict, Opaque)) and len(items) % 2 == 0)
        if isinstance(target, dict):
            target.update((_as_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True))


def _as_key(key: Any) -> Any:
    return key if type(key) in KEYS else Opaque(type(key).__name__)


_IGNORED = {"PROTO", "FRAME", "STOP"}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": lambda: Opaque("set")}
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.marked,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall),
    "FROZENSET": _Machine.frozen_set,
    "TUPLE": _Machine.tuple_of_marked,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_marked,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_marked,
    "ADDITEMS": _Machine.add_marked,
    "GLOBAL": _Machine.global_name,
    "STACK_GLOBAL": _Machine.stacked_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_names,
    "BUILD": _Machine.fill_in,
    "BINPERSID": _Machine.stored,
}
