"""Which events each function publishes: read out of its code, along calls and values.

What counts is what reaches `Transaction.publish`. From a handler the calls are followed into the
contexts' modules, and the event classes from where they are named, through variables, arguments and
results, to where they are published. Names are looked up in the imported modules, so that imports
and tables of classes need no interpretation here. Containers are taken for what is in them.
"""

import ast
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import FunctionType, MethodType, ModuleType, NoneType
from typing import Any, TypeVar, get_args

from lambdas.eventing import aws
from lambdas.eventing.event import Event
from lambdas.eventing.transaction import Transaction

EventType = type[Event]

_KERNEL = Transaction.__module__.rpartition(".")[0]
_SINK = Transaction.publish.__name__
_RESULT = "the result"


class Untraceable(ValueError):
    """Code publishes something of which it cannot be told, by reading it, what it is."""


def published_by(handler: str) -> frozenset[EventType]:
    """The events that a handler, such as `lambdas.orders.place_order.handler`, may publish.

    Raises Untraceable, with file and line, when an event takes a way that is not understood here.
    """
    module, _, name = handler.rpartition(".")
    root = module.partition(".")[0]
    trace = _Trace(root)
    for function in _functions(getattr(import_module(module), name), root):
        trace.enter(function)
    return trace.published()


@dataclass(frozen=True)
class _Function:
    """A function of the contexts, as source."""

    module: ModuleType = field(hash=False, compare=False)
    name: str
    """With the module's."""
    node: ast.FunctionDef | ast.AsyncFunctionDef = field(hash=False, compare=False)

    @property
    def parameters(self) -> list[ast.arg]:
        """Those that can be given by position."""
        return [*self.node.args.posonlyargs, *self.node.args.args]

    @property
    def optional(self) -> Iterator[tuple[str, ast.expr | None]]:
        """Those that need not be given, and what they are then; None if they are empty then."""
        arguments = self.node.args
        defaults = arguments.defaults
        if defaults:
            for parameter, default in zip(self.parameters[-len(defaults) :], defaults, strict=True):
                yield parameter.arg, default
        for parameter, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if given:
                yield parameter.arg, given
        for rest in (arguments.vararg, arguments.kwarg):
            if rest:
                yield rest.arg, None

    def carries(self, annotation: ast.expr | None) -> bool:
        """Whether a value of this type may be, or hold, an event or the class of one."""
        if annotation is None:
            return True
        for part in ast.walk(annotation):
            value = _looked_up(self.module, part)
            if value is Any or isinstance(value, TypeVar) or _classes_in(value):
                return True
        return False

    def where(self, line: int) -> str:
        """File and line."""
        return f"{self.module.__name__.replace('.', '/')}.py:{line}"


Place = tuple[str, str]
"""A function's name, and that of a variable in it."""


@dataclass(frozen=True)
class _Value:
    """Where a value may come from: classes that are named, and other places."""

    classes: frozenset[type] = frozenset()
    """Of events; that of None stands for a value that holds no event, as an empty tuple."""
    places: frozenset[Place] = frozenset()

    def __or__(self, other: "_Value") -> "_Value":
        return _Value(self.classes | other.classes, self.places | other.places)


_NOTHING = _Value(frozenset([NoneType]))
_UNKNOWN = _Value()


class _Trace:
    """All that is reached from one handler."""

    def __init__(self, root: str) -> None:
        self.root = root
        """The package beyond which nothing is read."""
        self._entered: set[str] = set()
        self._flows: list[tuple[_Value, Place, str]] = []
        self._sinks: set[Place] = set()

    def enter(self, function: _Function) -> None:
        """Reads a function, once, and all that it refers to."""
        if function.name not in self._entered:
            self._entered.add(function.name)
            _Reader(self, function).read()

    def flow(self, value: _Value, to: Place, where: str) -> None:
        """Notes that a value gets to a place."""
        self._flows.append((value, to, where))

    def publish(self, value: _Value, where: str) -> None:
        """Notes that a value is published."""
        self._sinks.add((where, _SINK))
        self.flow(value, (where, _SINK), where)

    def published(self) -> frozenset[EventType]:
        """What arrives where something is published. Raises Untraceable."""
        held: dict[Place, set[type]] = defaultdict(set)
        growing = True
        while growing:
            growing = False
            for value, place, _ in self._flows:
                arrived = _arrived(value, held)
                if not arrived <= held[place]:
                    held[place] |= arrived
                    growing = True
        matters = self._lead_to_sinks()
        for value, place, where in self._flows:
            if place in matters and not _arrived(value, held):
                raise Untraceable(
                    f"{where}: cannot tell which event is handed on here to be published: "
                    "hand on the event itself, or its class, in a variable, argument or result"
                )
        return frozenset(
            event for sink in self._sinks for event in held[sink] if event is not NoneType
        )

    def _lead_to_sinks(self) -> set[Place]:
        sources: dict[Place, set[Place]] = defaultdict(set)
        for value, place, _ in self._flows:
            sources[place] |= value.places
        found: set[Place] = set()
        waiting = [*self._sinks]
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                waiting += sources[place]
        return found


def _arrived(value: _Value, held: Mapping[Place, set[type]]) -> frozenset[type]:
    return value.classes.union(*(held.get(place, ()) for place in value.places))


class _Reader(ast.NodeVisitor):
    """Reads one function: each visit notes what flows where, and says what a value may be."""

    def __init__(self, trace: _Trace, function: _Function) -> None:
        self._trace = trace
        self._function = function
        self._line = function.node.lineno
        self._local = {
            name
            for node in ast.walk(function.node)
            for name in (
                (node.arg,)
                if isinstance(node, ast.arg)
                else (node.id,)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                else ()
            )
        }

    def read(self) -> None:
        """Notes what flows where in it, and enters the functions that it refers to."""
        node = self._function.node
        self._all(node.decorator_list)
        for parameter, default in self._function.optional:
            self._flow(self.visit(default) if default else _NOTHING, parameter)
        self._all(node.body)

    def visit(self, node: ast.AST) -> _Value:
        """What a value may be; of a statement, nothing that is known."""
        if isinstance(node, ast.stmt):
            self._line = node.lineno
        found: _Value = super().visit(node)
        return found

    def generic_visit(self, node: ast.AST) -> _Value:
        """All that it is made of."""
        return self._all(ast.iter_child_nodes(node))

    def _all(self, nodes: Iterable[ast.AST]) -> _Value:
        found = _UNKNOWN
        for node in nodes:
            found |= self.visit(node)
        return found

    def _flow(self, value: _Value, name: str) -> None:
        place = (self._function.name, name)
        self._trace.flow(value, place, self._function.where(self._line))

    def _assign(self, target: ast.AST, value: _Value) -> None:
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                self._flow(value, part.id)

    def visit_Assign(self, node: ast.Assign) -> _Value:
        value = self.visit(node.value)
        for target in node.targets:
            self._assign(target, value)
        return value

    def visit_AnnAssign(self, node: ast.AnnAssign) -> _Value:
        if node.value:  # an annotation alone names a class, and makes nothing of it
            self._assign(node.target, self.visit(node.value))
        return _UNKNOWN

    def visit_AugAssign(self, node: ast.AugAssign) -> _Value:
        self._assign(node.target, self.visit(node.value))
        return _UNKNOWN

    def visit_NamedExpr(self, node: ast.NamedExpr) -> _Value:
        value = self.visit(node.value)
        self._assign(node.target, value)
        return value

    def visit_For(self, node: ast.For) -> _Value:
        self._assign(node.target, self.visit(node.iter))
        return self._all([*node.body, *node.orelse])

    def visit_withitem(self, node: ast.withitem) -> _Value:
        value = self.visit(node.context_expr)
        if node.optional_vars:
            self._assign(node.optional_vars, value)
        return value

    def visit_comprehension(self, node: ast.comprehension) -> _Value:
        self._assign(node.target, self.visit(node.iter))
        self._all(node.ifs)
        return _UNKNOWN

    def visit_Match(self, node: ast.Match) -> _Value:
        subject = self.visit(node.subject)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    self._local.add(name)
                    self._flow(subject, name)
            self._all([*([case.guard] if case.guard else []), *case.body])
        return _UNKNOWN

    def visit_Return(self, node: ast.Return) -> _Value:
        value = self.visit(node.value) if node.value else _NOTHING
        if self._function.carries(self._function.node.returns):
            self._flow(value, _RESULT)
        return _UNKNOWN

    def visit_Yield(self, node: ast.Yield) -> _Value:
        return self.visit_Return(ast.copy_location(ast.Return(node.value), node))

    def visit_YieldFrom(self, node: ast.YieldFrom) -> _Value:
        return self.visit_Return(ast.copy_location(ast.Return(node.value), node))

    def visit_Constant(self, node: ast.Constant) -> _Value:
        return _NOTHING if node.value is None else _UNKNOWN

    def visit_Tuple(self, node: ast.Tuple) -> _Value:
        return self._all(node.elts) if node.elts else _NOTHING

    def visit_List(self, node: ast.List) -> _Value:
        return self._all(node.elts) if node.elts else _NOTHING

    def visit_Compare(self, node: ast.Compare) -> _Value:
        self.generic_visit(node)
        return _UNKNOWN

    def visit_IfExp(self, node: ast.IfExp) -> _Value:
        self.visit(node.test)
        return self.visit(node.body) | self.visit(node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> _Value:
        self.visit(node.slice)
        return self.visit(node.value)

    def visit_ListComp(self, node: ast.ListComp) -> _Value:
        self._all(node.generators)
        return self.visit(node.elt)

    def visit_SetComp(self, node: ast.SetComp) -> _Value:
        self._all(node.generators)
        return self.visit(node.elt)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> _Value:
        self._all(node.generators)
        return self.visit(node.elt)

    def visit_DictComp(self, node: ast.DictComp) -> _Value:
        self._all(node.generators)
        return self.visit(node.key) | self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> _Value:
        if node.id in self._local:
            return _Value(places=frozenset([(self._function.name, node.id)]))
        return self._global(_looked_up(self._function.module, node))

    def visit_Attribute(self, node: ast.Attribute) -> _Value:
        found = self._looked_up(node)
        if found is _NOT_FOUND:
            self.visit(node.value)
            return _UNKNOWN  # a field of a value is no event
        return self._global(found)

    def _global(self, value: Any) -> _Value:
        for function in _functions(value, self._trace.root):
            self._trace.enter(function)
        return _Value(frozenset(_classes_in(value)))

    def _looked_up(self, node: ast.expr) -> Any:
        first = node
        while isinstance(first, ast.Attribute):
            first = first.value
        if isinstance(first, ast.Name) and first.id in self._local:
            return _NOT_FOUND
        return _looked_up(self._function.module, node)

    def visit_Call(self, node: ast.Call) -> _Value:
        """An instance of a class, what the functions that may run return, or what was given."""
        if self._publishes(node.func):
            return self._publish(node)
        given = self._all([*node.args, *node.keywords])
        called = self._looked_up(node.func)
        if called is _NOT_FOUND:
            return self._call_of_value(node, given)
        if isinstance(called, type) and issubclass(called, Event):
            return _Value(frozenset([called]))
        functions = _functions(called, self._trace.root)
        found = self._run(node, functions, bound=isinstance(called, type | MethodType))
        # What a library's function or a constructor is given, it may give back.
        return found | given if isinstance(called, type) or not functions else found

    def _call_of_value(self, node: ast.Call, given: _Value) -> _Value:
        if isinstance(node.func, ast.Attribute):
            found = self.visit(node.func.value) | given
            return found | self._run(node, _methods(node.func.attr, self._trace.root), bound=True)
        return self.visit(node.func)  # a class in a variable: an instance of it

    def _run(self, call: ast.Call, functions: Iterable[_Function], *, bound: bool) -> _Value:
        found = _UNKNOWN
        for function in functions:
            self._trace.enter(function)
            self._bind(call, function, bound=bound)
            found |= _Value(places=frozenset([(function.name, _RESULT)]))
        return found

    def _bind(self, call: ast.Call, function: _Function, *, bound: bool) -> None:
        """Hands the arguments of a call to the parameters of a function."""
        where = self._function.where(call.lineno)
        arguments = function.node.args
        positional = function.parameters[1:] if bound else function.parameters
        rest = [arguments.vararg] if arguments.vararg else []

        def hand(value: ast.expr, parameters: Iterable[ast.arg]) -> None:
            for parameter in parameters:
                if function.carries(parameter.annotation):
                    self._trace.flow(self.visit(value), (function.name, parameter.arg), where)

        for position, value in enumerate(call.args):
            if isinstance(value, ast.Starred):
                hand(value.value, [*positional[position:], *rest])
            else:
                hand(value, positional[position : position + 1] or rest)
        named = {parameter.arg: parameter for parameter in [*positional, *arguments.kwonlyargs]}
        others = [arguments.kwarg] if arguments.kwarg else []
        for keyword in call.keywords:
            if keyword.arg is None:
                hand(keyword.value, [*named.values(), *others])
            else:
                hand(keyword.value, [named[keyword.arg]] if keyword.arg in named else others)

    def _publishes(self, called: ast.expr) -> bool:
        """Whether it is `Transaction.publish`; clients, as in `aws.sns().publish`, are not."""
        if not isinstance(called, ast.Attribute) or called.attr != _SINK:
            return False
        receiver = called.value
        maker = self._looked_up(receiver.func) if isinstance(receiver, ast.Call) else None
        return getattr(maker, "__module__", None) != aws.__name__

    def _publish(self, call: ast.Call) -> _Value:
        event = _argument(call, 1, "event")
        where = self._function.where(call.lineno)
        self._trace.publish(self.visit(event) if event else _UNKNOWN, where)
        if older := _argument(call, 2, "also_as"):
            self._trace.publish(self.visit(older), where)
        return _UNKNOWN


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return (*call.args[position : position + 1], *named, None)[0]


_NOT_FOUND = object()


def _looked_up(module: ModuleType, node: ast.AST) -> Any:
    """What a name, or a dotted one, stands for in a module; _NOT_FOUND if it is a value's."""
    match node:
        case ast.Name(id=name):
            return getattr(module, name, _NOT_FOUND)
        case ast.Attribute(value=value, attr=name):
            owner = _looked_up(module, value)
            if isinstance(owner, ModuleType | type):
                return getattr(owner, name, _NOT_FOUND)
    return _NOT_FOUND


def _classes_in(value: Any) -> Set[EventType]:
    """The event classes in a value: itself, a union of them, or those in a container."""
    if isinstance(value, type):
        return {value} if issubclass(value, Event) else set()
    if isinstance(value, dict):
        return {event for part in (*value, *value.values()) for event in _classes_in(part)}
    if isinstance(value, tuple | list | set | frozenset):
        return {event for part in value for event in _classes_in(part)}
    return {event for part in get_args(value) for event in _classes_in(part)}


def _functions(value: Any, root: str) -> list[_Function]:
    """The functions of the contexts that run when a value is called."""
    if isinstance(value, type):
        value = vars(value).get("__init__")
    value = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    if not isinstance(value, FunctionType) or not value.__module__.startswith(f"{root}."):
        return []
    # One that a decorator wrote, as of a dataclass, has no source, and publishes nothing.
    found = _source(value.__module__).get(value.__qualname__)
    return [found] if found else []


@cache
def _source(module_name: str) -> dict[str, _Function]:
    """The functions and methods of a module, by their qualified names."""
    module = sys.modules[module_name]
    found: dict[str, _Function] = {}

    def collect(nodes: Iterable[ast.AST], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + node.name] = _Function(
                    module, f"{module_name}.{prefix}{node.name}", node
                )
            elif isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")

    collect(ast.parse(inspect.getsource(module)).body, "")
    return found


def _methods(name: str, root: str) -> list[_Function]:
    """The methods of this name of all classes of the contexts: which one is called is open."""
    inside, kernel = f"{root}.", f"{_KERNEL}."
    modules = (module for module in sys.modules if module.startswith(inside))
    return [
        function
        for module in sorted(modules)
        if not module.startswith(kernel)
        for qualified, function in _source(module).items()
        if "." in qualified and qualified.rpartition(".")[2] == name
    ]
