"""Teaches PySide6 the manners of PythonQt.

Properties are attributes, signals are connected by their signature, methods take no keywords, and objects have no attributes but
Qt's, unless their class was derived in Python. Where PythonQt says nothing, or only prints, so does this; `faults` remembers it for tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from threading import get_ident, main_thread
from types import BuiltinMethodType, FunctionType
from typing import Any

import numpy as np
import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import SIGNAL, QMetaMethod, QMetaObject, QObject, SignalInstance

from .faults import complain, guarded, remember

NO_SIGNAL = "connect to an unknown signal"
"""How the complaint about one begins; Slicer prints it and goes on."""

_NUMBERS = {"int": int, "uint": int, "double": float, "float": float, "bool": bool}
_main_thread = main_thread().ident
_plain_get = QObject.__getattribute__
_plain_setters: dict[type, Any] = {}
_being_read: set[tuple[int, str]] = set()


def install() -> None:
    """From now on every QObject of this process behaves as in Slicer's Python."""
    QObject.__getattribute__ = _get
    for each in _classes():
        if "__setattr__" in vars(each):
            _plain_setters.setdefault(each, each.__setattr__)
            each.__setattr__ = _set


def uninstall() -> None:
    QObject.__getattribute__ = _plain_get
    for each, plain in _plain_setters.items():
        each.__setattr__ = plain
    _plain_setters.clear()


def _classes() -> list[type]:
    """Those of PySide that are a QObject."""
    known = (getattr(module, name) for module in (QtCore, QtGui, QtWidgets) for name in dir(module))
    return [each for each in known if isinstance(each, type) and issubclass(each, QObject)]


def native(cls: type) -> type:
    """Decorator of classes that the host writes in place of C++ ones.

    Such a class may have `ALIASES`: its signals as C++ declares them, each with the signature that Python gave it.
    """
    cls._native = True
    return cls


def _get(target: QObject, name: str) -> Any:
    if name.startswith("_"):
        return _plain_get(target, name)
    if get_ident() != _main_thread:
        remember(RuntimeError(f"{name!r} of a {_class_name(target)} was touched by another thread; Qt belongs to the main one."))
    if name in _MANNERS:
        return lambda *arguments: _MANNERS[name](target, *arguments)
    if _is_property(type(target), name) and (id(target), name) not in _being_read:
        return _read(target, name)
    value = _plain_get(target, name)
    if isinstance(value, SignalInstance):
        return _Signal(target, name, value)
    return _Call(value) if isinstance(value, BuiltinMethodType) else value


def _read(target: QObject, name: str) -> Any:
    """A property; while its getter runs, PySide looks whether Python overrides that, and must find the method."""
    _being_read.add((id(target), name))
    try:
        return QObject.property(target, name)
    finally:
        _being_read.discard((id(target), name))


def _set(target: QObject, name: str, value: Any) -> None:
    if _is_property(type(target), name):
        _set_property(target, name, value)
    elif not _is_native(type(target)) or _is_declared(type(target), name):
        _plain_set(target, name, value)
    else:
        raise AttributeError(f"{_class_name(target)} has no property {name!r}; PythonQt sets nothing else on an object of Qt.")


def _plain_set(target: QObject, name: str, value: Any) -> None:
    descriptor = getattr(type(target), name, None)
    if hasattr(descriptor, "__set__"):
        descriptor.__set__(target, value)
    else:
        vars(target)[name] = value


def _connect(source: QObject, signal: str, receiver: Any, slot: str | None = None) -> bool:
    """Connect ``("clicked()", function)``, or a QObject and its slot; False, and a complaint, if there is no such signal."""
    called = receiver if slot is None else getattr(receiver, slot.partition("(")[0])
    if not callable(called):
        raise TypeError(f"{called!r} cannot be connected to {signal}; it is not callable.")
    signature = _signature(source, signal)
    if not signature:
        return False
    connection = _Connection(signature, called)
    _plain_set(source, "_connections", [*_connections(source), connection])
    return bool(QObject.connect(source, SIGNAL(connection.signature), connection.deliver))


def _disconnect(source: QObject, signal: str | None = None, called: Callable | None = None) -> bool:
    """Take back connections; without arguments all. False if there was none."""
    signature = None if signal is None else _signature(source, signal)
    gone = [each for each in _connections(source) if each.is_of(signature, called)] if signature != "" else []
    for each in gone:
        QObject.disconnect(source, SIGNAL(each.signature), each.deliver)
    _plain_set(source, "_connections", [each for each in _connections(source) if each not in gone])
    return bool(gone)


def _class_name(target: QObject) -> str:
    """The name of the C++ class, also for classes derived in Python."""
    return next(each.__name__ for each in type(target).__mro__ if _is_native(each))


_MANNERS = {"connect": _connect, "disconnect": _disconnect, "className": _class_name, "delete": shiboken6.delete}


class _Connection:
    """A signal and what it calls, with as many of its arguments as that takes."""

    def __init__(self, signature: str, called: Callable) -> None:
        self.signature, self.called = signature, called
        self._taken = _positional_arguments(called)

    def deliver(self, *arguments: Any) -> None:
        guarded(self.called, *arguments[: self._taken])

    def is_of(self, signature: str | None, called: Callable | None) -> bool:
        return signature in (None, self.signature) and (called is None or called == self.called)


class _Signal:
    """`button.clicked`: call it to emit, connect to it without a signature."""

    def __init__(self, owner: QObject, name: str, plain: SignalInstance) -> None:
        self._owner, self._plain = owner, plain
        self._first = next(each for each in _signals(type(owner)) if each.partition("(")[0] == name)

    def __call__(self, *arguments: Any) -> None:
        self._plain.emit(*arguments)

    def connect(self, called: Callable) -> bool:
        return _connect(self._owner, self._first, called)

    def disconnect(self, called: Callable | None = None) -> bool:
        return _disconnect(self._owner, self._first, called)


class _Call:
    """A method of Qt, without keywords."""

    __slots__ = ("_method",)

    def __init__(self, method: BuiltinMethodType) -> None:
        self._method = method

    def __call__(self, *arguments: Any) -> Any:
        """Convert arguments as PythonQt does, which tells floats by their very type.

        Raises:
            ValueError: no overload takes these arguments, as none takes a number of numpy.
        """
        if any(isinstance(each, np.generic) for each in arguments):
            raise ValueError(f"{self._method.__name__} was called with wrong arguments: {arguments!r}")
        return self._method(*arguments)


_properties: dict[type, frozenset[str]] = {}


def _is_native(cls: type) -> bool:
    return cls.__module__.startswith("PySide6") or "_native" in vars(cls)


def _is_declared(cls: type, name: str) -> bool:
    """Whether a class of the host keeps something under this name: in private, or told by an attribute of the class."""
    ours = [each for each in cls.__mro__ if "_native" in vars(each)]
    return bool(ours) and (name.startswith("_") or any(name in vars(each) for each in ours))


def _is_property(cls: type, name: str) -> bool:
    """Of the meta-object, unless a class derived in Python has a method of that name."""
    if cls not in _properties:
        meta = cls.staticMetaObject
        names = {meta.property(index).name() for index in range(meta.propertyCount())}
        overridden = {key for each in cls.__mro__ for key, value in vars(each).items() if isinstance(value, FunctionType)}
        _properties[cls] = frozenset(names - overridden)
    return name in _properties[cls]


def _signals(cls: type) -> list[str]:
    meta = cls.staticMetaObject
    methods = (meta.method(index) for index in range(meta.methodCount()))
    return [bytes(each.methodSignature()).decode() for each in methods if each.methodType() == QMetaMethod.MethodType.Signal]


def _signature(source: QObject, signal: str) -> str:
    """Return it normalised, as the class declares it; empty, and a complaint that lists those that there are, if it has no such signal."""
    wanted = bytes(QMetaObject.normalizedSignature(signal)).decode()
    aliases = getattr(type(source), "ALIASES", {})
    known = _signals(type(source))
    if aliases.get(wanted, wanted) not in known:
        complain(f"{NO_SIGNAL}: {_class_name(source)} has no {signal!r}, only: {', '.join([*aliases, *known])}")
        return ""
    return aliases.get(wanted, wanted)


def _connections(source: QObject) -> list[_Connection]:
    return getattr(source, "_connections", [])


def _set_property(target: QObject, name: str, value: Any) -> None:
    """Convert as PythonQt does: numbers to the number wanted, anything to text, nothing else.

    Raises:
        AttributeError: the property is read-only or of another type.
    """
    meta = type(target).staticMetaObject
    declared = meta.property(meta.indexOfProperty(name))
    kind = declared.typeName()
    if kind in _NUMBERS:
        if not isinstance(value, bool | int | float) or isinstance(value, np.generic):
            raise AttributeError(f"property {name!r} of type {kind} does not accept a {type(value).__name__}.")
        value = _NUMBERS[kind](value)
    elif kind == "QString":
        value = str(value)
    if not declared.isWritable() or not QObject.setProperty(target, name, value):
        raise AttributeError(f"property {name!r} of {_class_name(target)} is read-only, or does not accept a {type(value).__name__}.")


def _positional_arguments(called: Callable) -> int | None:
    """How many arguments a signal may pass on; None for any number."""
    if not inspect.isroutine(called) or isinstance(called, BuiltinMethodType):
        return None
    parameters = inspect.signature(called).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
