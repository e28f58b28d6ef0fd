"""A candidate's source code as messages carry it: put into the object store, and fetched and verified, here alone."""

from archloop import sources
from archloop.blobs.port import Blobs, Readable
from archloop.blobs.sound import put_sound
from archloop.contracts.values import SourceCode, sha256_of
from archloop.errors import IntegrityError

INLINE_LIMIT = 64 * 1024


async def stored(blobs: Blobs, text: str) -> SourceCode:
    """Return the text as messages carry it, put into the store under its hash where it is too long to be inline."""
    if len(sources.encoded(text)) <= INLINE_LIMIT:
        return SourceCode.inline(text)
    return await referred(blobs, text)


async def referred(blobs: Blobs, text: str) -> SourceCode:
    """Put the text into the store under its hash, however short it is, and return the reference."""
    content = sources.encoded(text)
    sha256 = sha256_of(content)
    return SourceCode(sha256=sha256, blob=await put_sound(blobs, f"code/{sha256}.py", content))


async def text_of(code: SourceCode, blobs: Readable) -> str:
    """Return the source code as text.

    Bytes that are no UTF-8 become lone surrogates, which no reader of programs takes.

    Raises:
        NotFound: The store has no such blob.
        IntegrityError: What is stored, or referred to, is other code.

    """
    if code.text is not None:
        return code.text
    assert code.blob is not None
    if code.blob.sha256 != code.sha256:
        raise IntegrityError(f"code {code.sha256} refers to a blob with hash {code.blob.sha256}")
    return sources.decoded(await blobs.get(code.blob))
