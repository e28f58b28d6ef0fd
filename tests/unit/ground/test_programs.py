"""A candidate's code from bytes to text and back: one encoder, one decoder, one place that stores and verifies."""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from archloop import sources
from archloop.blobs import programs
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.values import BlobRef, SourceCode, sha256_of
from archloop.errors import IntegrityError, NotFound

ROOT = Path(__file__).parents[3]
BYTES = {
    "ASCII": b"x = 1\n",
    "UTF-8": "x = 'é漢🎉'\r\n".encode(),
    "mark": b"\xef\xbb\xbfx = 1\n",
    "Latin-1": "x = 'é'\n".encode("latin-1"),
    "cut": "🎉".encode()[:3],
    "surrogate": b"x = '\xed\xa0\x80'\n",
    "any": bytes(range(256)),
    "nothing": b"",
}
HALVES = ["\ud800", "a\udc00b", "\udfff\udc80", "\ud83d\ud83d", "x = '\udbff'"]


@pytest.fixture
def blobs(tmp_path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
def test_what_is_decoded_is_the_same_bytes_again_and_has_their_hash(content: bytes) -> None:
    text = sources.decoded(content)
    assert sources.encoded(text) == content
    assert sha256_of(text) == sha256_of(content) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
def test_what_is_no_utf8_is_told(content: bytes) -> None:
    assert sources.is_utf8(sources.decoded(content)) == (content.decode("utf-8", "ignore").encode() == content)


@pytest.mark.parametrize("text", HALVES)
def test_other_halves_of_characters_have_a_size_and_a_hash_of_their_own(text: str) -> None:
    assert not sources.is_utf8(text)
    assert len({sha256_of(other) for other in [*HALVES, "", "\ufffd"]}) == len(HALVES) + 2
    assert len(sources.encoded(text)) >= len(text)


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
async def test_a_blob_is_read_to_the_byte(blobs: DirectoryBlobs, content: bytes) -> None:
    ref = await blobs.put("code/1.py", content)
    code = SourceCode(sha256=ref.sha256, blob=ref)
    assert sources.encoded(await programs.text_of(code, blobs)) == content


@pytest.mark.parametrize("text", ["", "x = 1\n", "# é\n" * 9, "#" * programs.INLINE_LIMIT, "é" * programs.INLINE_LIMIT])
async def test_what_is_stored_is_read_back_inline_or_not(blobs: DirectoryBlobs, text: str) -> None:
    code = await programs.stored(blobs, text)
    assert (code.blob is None) == (len(text.encode()) <= programs.INLINE_LIMIT)
    assert code.sha256 == sha256_of(text)
    assert await programs.text_of(code, blobs) == text


def changed(ref: BlobRef, **fields: object) -> BlobRef:
    return ref.model_copy(update=fields)


@pytest.mark.parametrize(
    ("refer", "error"),
    [
        (lambda ref: SourceCode(sha256="0" * 64, blob=ref), IntegrityError),
        (lambda ref: SourceCode(sha256=sha256_of("y"), blob=ref), IntegrityError),
        (lambda ref: SourceCode(sha256="0" * 64, blob=changed(ref, sha256="0" * 64)), IntegrityError),
        (lambda ref: SourceCode(sha256=ref.sha256, blob=changed(ref, key="code/2.py")), NotFound),
        (lambda ref: SourceCode(sha256=ref.sha256, blob=changed(ref, key="other.py")), IntegrityError),
    ],
)
async def test_other_code_than_is_referred_to_is_never_read(blobs: DirectoryBlobs, refer, error) -> None:
    await blobs.put("other.py", b"y = 2\n")
    ref = await blobs.put("code/1.py", b"x = 1\n")
    with pytest.raises(error):
        await programs.text_of(refer(ref), blobs)


# Names under which services hold programs, and what gives their bytes.
_PROGRAMS = re.compile(r"\b_?(code|codes|source|sources|program|completion|content|blobs?\.get)\b")
_HANDLERS = re.compile(r"surrogate|replace|ignore|backslash")
_OTHERS = {
    ("services/evaluator/harness/stages.py", "source.decode('utf-8-sig')"): "the child imports nothing of ours",
    ("services/evaluator/harness/stages.py", "json.dumps(content, ensure_ascii=True).encode()"): "a frame of the child",
    ("services/evaluator/sandbox/output.py", "text.encode('utf-8', 'replace')"): "what a child prints",
    ("services/evaluator/harness/graph.py", "told[:_REASON_LIMIT].encode('ascii', 'replace')"): "why there is no graph",
    ("services/evaluator/reading.py", "frame.payload.decode('ascii', 'replace')"): "the name of a stage",
    ("services/novelty/index.py", "run_id.encode('utf-8', 'surrogatepass')"): "the name of a run",
    ("services/novelty/shingles.py", "token.encode('utf-8', 'surrogatepass')"): "one canonical token",
    ("services/evaluator/sandbox/gpu.py", "(_content(root / 'proc/self/status') or b'').decode(errors='replace')"): (
        "what the kernel says of a process"
    ),
    ("services/generator/backends/child_process.py", "output.read().decode('utf-8', 'replace')"): (
        "a process's last words"
    ),
    ("services/generator/modelserver/process.py", "line.decode(errors='replace')"): "a process's first line",
    ("services/registry/page/routing.py", "body.decode('utf-8', 'replace')"): "a browser's form, escaped to ASCII",
    ("services/registry/page/views/parked.py", "parked.body.decode('utf-8', 'backslashreplace')"): "a message, shown",
}


def conversions(text: str) -> Iterator[str]:
    """Calls that turn a program's text into bytes, or back, or anything at all in a way that loses something."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        call, function = ast.unparse(node), ast.unparse(node.func)
        converts = function in ("bytes", "str") and len(node.args) + len(node.keywords) > 1
        method = isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "decode")
        if converts or (method and not function.startswith(("codecs.", "sources."))):
            given = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else call
            rest = [ast.unparse(each) for each in [*node.args, *(keyword.value for keyword in node.keywords)]]
            if _PROGRAMS.search(given) or _HANDLERS.search(" ".join(rest)):
                yield call


def test_services_convert_programs_in_one_place_only() -> None:
    files = sorted((ROOT / "services").rglob("*.py"))
    found = {(str(path.relative_to(ROOT)), call) for path in files for call in conversions(path.read_text())}
    assert found - _OTHERS.keys() == set(), "archloop.sources encodes and decodes, archloop.blobs.programs stores"
    assert _OTHERS.keys() - found == set(), "what is gone from the code goes from this table too"


@pytest.mark.parametrize(
    "call",
    [
        "code.encode()",
        "self._source.encode('utf-8')",
        "(await blobs.get(code.blob)).decode('utf-8', 'replace')",
        "message.code.text.encode()",
        "str(content, 'utf-8', 'surrogateescape')",
        "bytes(source, encoding='utf-8')",
        "answer.decode(errors='ignore')",
        "(await self._blobs.get(ref)).decode()",
        "pair.completion.encode('utf-8', 'surrogatepass')",
    ],
)
def test_another_conversion_would_be_found(call: str) -> None:
    assert list(conversions(f"async def f():\n    return {call}\n")) == [ast.unparse(ast.parse(call, mode="eval"))]
