"""A gate's report as JUnit XML: a test case for every row of the baseline."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from cmrbench.core.names import with_features
from cmrbench.gate.changes import FAILING, Change, GateReport
from cmrbench.gate.rows import sortable
from cmrbench.gate.wording import measured, number, run_title, sentence
from cmrbench.report.wording import plain

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SUITE = "cmrbench gate"


def junit(report: GateReport) -> bytes:
    """The document, UTF-8. What is new has no test case: there is nothing that it could fail."""
    judged = sorted((c for c in report.changes if c.kind != "new"), key=lambda c: sortable(c.asked))
    suite = _suite(len(judged), sum(c.kind in FAILING for c in judged), 0)
    for change in judged:
        _add_case(suite, change)
    return _document(suite)


def error_junit(message: str) -> bytes:
    """The document of a gate that could not judge: one test case with an error."""
    suite = _suite(1, 0, 1)
    case = ElementTree.SubElement(suite, "testcase", classname=SUITE, name="baseline and results can be compared")
    told = _legal(plain(message))
    ElementTree.SubElement(case, "error", type="error", message=told).text = told
    return _document(suite)


def _suite(tests: int, failures: int, errors: int) -> ElementTree.Element:
    numbers = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    return ElementTree.Element("testsuite", {"name": SUITE, "time": "0"} | {k: str(v) for k, v in numbers.items()})


def _add_case(suite: ElementTree.Element, change: Change) -> None:
    asked = change.asked
    where = with_features(asked["dataset"], asked["feature_set"])
    classname = _legal(plain(f"{where}.{asked['method']}"))
    name = _legal(plain(f"{run_title(asked)}: {measured(change)}"))
    case = ElementTree.SubElement(suite, "testcase", classname=classname, name=name, time="0")
    told = _legal(sentence(change))
    if change.kind in FAILING:
        failure = ElementTree.SubElement(case, "failure", type=change.kind, message=told)
        values = (("before", change.before), ("now", change.now), ("tolerance", change.tolerance))
        lines = [f"{head}: {number(value) or 'no value'}" for head, value in values]
        lines += [f"cause: {change.cause}"] if change.cause else []
        failure.text = _legal("\n".join(lines))
    elif change.kind == "doubtful":
        ElementTree.SubElement(case, "system-out").text = told


def _document(suite: ElementTree.Element) -> bytes:
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _legal(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold, in whatever form."""
    return _ILLEGAL.sub("\ufffd", text)
