"""The words of the library: docstrings that begin with a verb, and one name for one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import SAMSegmenterLib

ROOT = Path(SAMSegmenterLib.__file__).parent
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}

# fmt: off
QUESTIONS = {"How", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why"}
ARTICLES = {
    "A", "All", "An", "Another", "Both", "Each", "Every", "It", "Its", "No", "One", "That", "The", "Their",
    "These", "This", "Those", "Two",
}
OTHERS = {
    "As", "At", "By", "For", "From", "Have", "If", "In", "Like", "Not", "Of", "On", "Only", "See", "To",
    "Unless", "With", "Within",
}
# fmt: on
NO_VERBS = QUESTIONS | ARTICLES | OTHERS
NO_IMPERATIVES = "s", "ed", "ing"  # endings of "Returns", "Returned", "Returning", and of most plurals
IMPERATIVES = {"Address", "Bring", "Compress", "Embed", "Express", "Feed", "Guess", "Pass", "Press", "Process"}  # which end so all the same


def definitions(node, prefix=""):
    """Yield the dotted name and the node of every class, function and method below a node, except functions within functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef):
            yield prefix + child.name, child


def tree(name):
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def is_property(node):
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def begins_with_a_verb(docstring):
    first, second, *_ = [*docstring.split(), "", ""]
    first = first.rstrip(",:")
    if not (first.isalpha() and first.istitle()) or first in NO_VERBS or second == "of":
        return False
    return first in IMPERATIVES or not first.endswith(NO_IMPERATIVES)


@pytest.mark.parametrize(
    "docstring", ["Return a mask.", "Raise `InputError` unless it fits.", "Yield, for each slice, its mask.", "Pass it on."]
)
def test_a_verb_is_recognised(docstring):
    assert begins_with_a_verb(docstring)


@pytest.mark.parametrize(
    "docstring",
    [
        "What it is.",
        "The mask.",
        "Whether it fits.",
        "Returns a mask.",
        "Masks that fit.",
        "Image of it.",
        "``(n, 2)`` pixels.",
        "See `f`.",
    ],
)
def test_what_is_no_verb_is_recognised(docstring):
    assert not begins_with_a_verb(docstring)


@pytest.mark.parametrize("name", FILES)
def test_docstrings_of_functions_begin_with_a_verb(name):
    functions = ((at, node, ast.get_docstring(node)) for at, node in definitions(tree(name)) if isinstance(node, ast.FunctionDef))
    wrong = [f"{at}: {docstring.splitlines()[0]}" for at, _, docstring in functions if docstring and not begins_with_a_verb(docstring)]
    assert not wrong, f"{name}: {wrong}"


@pytest.mark.parametrize("name", FILES)
def test_docstrings_of_properties_say_what_they_return(name):
    properties = [(at, node) for at, node in definitions(tree(name)) if isinstance(node, ast.FunctionDef) and is_property(node)]
    wrong = [at for at, node in properties if not (ast.get_docstring(node) or "Return").startswith("Return")]
    assert not wrong, f"{name}: {wrong}"


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_public_has_a_docstring(name):
    silent = [
        at
        for at, node in definitions(tree(name))
        if not any(part.startswith("_") for part in at.split(".")) and not ast.get_docstring(node)
    ]
    assert not silent, f"{name}: {silent}"


@pytest.mark.parametrize("name", FILES)
def test_docstrings_of_modules_and_classes_name_them(name):
    module = tree(name)
    classes = [(at, node) for at, node in definitions(module) if isinstance(node, ast.ClassDef)]
    for at, node in [("the module", module), *classes]:
        docstring = ast.get_docstring(node)
        assert not docstring or docstring.split()[0] not in QUESTIONS | OTHERS, f"{name}, {at}: {docstring}"


def aliases(module):
    """Yield the names of the types that a module gives a name to, such as ``Plane = str | Matrix``."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        yield from (
            each.id for each in targets if isinstance(each, ast.Name) and not each.id.isupper() and each.id.lstrip("_")[:1].isupper()
        )


def test_no_two_types_have_one_name():
    places = defaultdict(list)
    for name in FILES:
        module = tree(name)
        for each in [*(at for at, node in definitions(module) if isinstance(node, ast.ClassDef)), *aliases(module)]:
            places[each].append(name)
    shared = {each: names for each, names in places.items() if len(names) > 1}
    assert not shared
