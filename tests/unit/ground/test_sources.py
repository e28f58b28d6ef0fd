"""Bytes are read as Python reads them: its own parser, given the same bytes, is the reference."""

import ast
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloop.sources import UndecodableSource, decoded, of_file, unmarked
from services.evaluator.harness.module import lines, parsed
from services.novelty.compare import compare

NET = "import torch\n# réseau\nx = 'é'\nclass Net:\n    '''a\nb'''\n\n    def f(self):\n        return x\n"
KANA = "x = 'あ'\n"
READ = {
    "plain": NET.encode(),
    "mark": codecs.BOM_UTF8 + NET.encode(),
    "mark and cookie": codecs.BOM_UTF8 + b"# coding: utf-8\n" + NET.encode(),
    "mark alone": codecs.BOM_UTF8,
    "nothing": b"",
    "latin-1": ("# -*- coding: latin-1 -*-\n" + NET).encode("latin-1"),
    "cp1252": ("# coding: cp1252\nx = '€'\n" + NET).encode("cp1252"),
    "vim's": ("# vim: set fileencoding=iso-8859-15 :\n" + NET).encode("iso-8859-15"),
    "second line": ("#!/usr/bin/python\n# coding=latin-1\n" + NET).encode("latin-1"),
    "shift_jis": ("# coding: shift_jis\n" + KANA).encode("shift_jis"),
    "koi8-r": "# coding: koi8-r\nx = 'ж'\n".encode("koi8-r"),
    "gb18030": ("# coding: gb18030\n" + KANA).encode("gb18030"),
    "euc-jp": ("# coding: euc-jp\n" + KANA).encode("euc-jp"),
    "utf-8-sig": b"# coding: utf-8-sig\nx = 1\n",
    "emacs": b"# -*- mode: python; coding: UTF_8 -*-\nx = '\xc3\xa9'\n",
    "utf-7": b"# coding: utf-7\n# +AAo-x = 1\n",
    "unicode_escape": b"# coding: unicode_escape\n# \\nx = 1\n",
    "CR": NET.replace("\n", "\r").encode(),
    "CRLF": NET.replace("\n", "\r\n").encode(),
    "CRLF and LF": NET.replace("\n", "\r\n", 4).encode(),
    "mark and CRLF": codecs.BOM_UTF8 + NET.replace("\n", "\r\n").encode(),
    "CR and cookie": ("# coding: latin-1\n" + NET).replace("\n", "\r").encode("latin-1"),
    "CR and what is no cookie": "# a\rx = 1\ry = 'coding: latin-1 é'\r".encode(),
    "form feed": b"\x0cx = 1\n\x0c\ny = '\xe2\x80\xa8'\n",
    "no end": b"x = 1",
}
NOT_READ = {
    "UTF-16": NET.encode("utf-16"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + NET.encode("utf-16-be"),
    "UTF-16 without mark": "x = 1\n".encode("utf-16-le"),
    "UTF-16 with CR": NET.replace("\n", "\r").encode("utf-16"),
    "UTF-32": NET.encode("utf-32"),
    "a cookie of the mark's": codecs.BOM_UTF8 + b"# coding: latin-1\n" + NET.encode(),
    "two marks": codecs.BOM_UTF8 * 2 + b"x = 1\n",
    "cookie in line 3": ("#\n#\n# coding: latin-1\n" + NET).encode("latin-1"),
    "cookie behind code": ("x = 1\n# coding: latin-1\n" + NET).encode("latin-1"),
    "latin-1 without cookie": NET.encode("latin-1"),
    "one byte": b"x = '\xe9'\n",
    "a byte in the fifth line": b"\n\n\n\nx = '\xff'\n",
    "no such encoding": b"# coding: klingon\nx = 1\n",
    "no text encoding": b"# coding: rot13\nx = 1\n",
    "hex": b"# coding: hex\nx = 1\n",
    "undefined": b"# coding: undefined\nx = 1\n",
    "utf-16 said": b"# coding: utf-16\nx = 1\n",
    "NUL": b"x = '\0'\n",
    "surrogate": b"x = '\xed\xa0\x80'\n",
    "control-Z": b"x = 1\n\x1a",
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_a_file_is_the_program_that_python_reads(content):
    program = ast.dump(ast.parse(content))
    assert ast.dump(ast.parse(of_file(content))) == program
    tree, _ = parsed(of_file(content))
    assert ast.dump(tree) == program
    assert compare([("net.py", of_file(content))], 0.9)[0].verdict == "novel"


def _read(content):
    try:
        return of_file(content)
    except UndecodableSource as error:
        return error


@pytest.mark.parametrize("content", NOT_READ.values(), ids=NOT_READ)
def test_what_python_refuses_is_refused_with_one_line_and_by_novelty_too(content):
    with pytest.raises((SyntaxError, ValueError)):
        ast.parse(content)
    text = _read(content)
    if isinstance(text, str):
        with pytest.raises((SyntaxError, ValueError)):
            parsed(text)
    assert "\n" not in str(text) or isinstance(text, str)
    assert compare([("net.py", text)], 0.9)[0].verdict is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("UTF-16", "the file is UTF-16, which Python does not read"),
        ("UTF-32", "the file is UTF-32, which Python does not read"),
        ("latin-1 without cookie", "is not utf-8: invalid continuation byte in line 2"),
        ("a byte in the fifth line", "is not utf-8: invalid start byte in line 5"),
        ("no such encoding", "unknown encoding: klingon"),
        ("two marks", "two byte order marks"),
    ],
)
def test_it_says_what_is_wrong_and_where(name, told):
    with pytest.raises(UndecodableSource, match=told):
        of_file(NOT_READ[name])


@given(st.binary(max_size=40), st.sampled_from([b"", codecs.BOM_UTF8, b"# coding: latin-1\n", b"#\r# coding: cp437\r"]))
def test_any_bytes_are_text_or_one_error(content, before):
    text = _read(before + content)
    assert "\r" not in str(text)
    assert not str(text).startswith("\ufeff")


@pytest.mark.parametrize("cookie", ["latin-1", "utf-7", "cp1252", "shift_jis", "unicode_escape", "klingon"])
def test_a_cookie_in_a_text_is_a_comment(cookie):
    text = f"# coding: {cookie}\n# +AAo- \\n é\nx = 1\n"
    assert unmarked(decoded(("\ufeff" + text).encode())) == text
    assert len(parsed(text)[0].body) == 1
    assert compare([("a", text), ("b", "\ufeff" + text.replace(cookie, "utf-8"))], 0.9)[1].verdict == "exact_duplicate"


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n", "\n\x0c\n", "'\x85\x1c\u2028'\n", "  # \x0b\x1d\u2029\n"])
def test_the_lines_that_a_network_can_read_are_python_s(end):
    source = f"x = 1\ny = 2{end}z = 3".replace("y = 2'", "y = '")
    assert lines(source)[ast.parse(source).body[-1].lineno - 1] == "z = 3"
