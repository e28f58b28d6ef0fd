"""Answers in exactly the form that generation expects: to be learnt from, or to be set against a better one."""

from pydantic import ValidationError

from archloop import answers, sources
from archloop.answers import briefs, edits
from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair
from services.registry.records import Architecture, Source
from services.registry.stores.port import Store


async def pair(store: Store, blobs: Blobs, architecture: Architecture) -> TrainingPair | None:
    """Return None where nothing was asked, or half a character stands in it, for which a trainer refuses all."""
    source = await store.source(architecture.candidate_id)
    if source is None or not source.prompt:
        return None
    prompt = briefs.truthful(source.prompt, architecture.parameters)
    try:
        return TrainingPair(prompt=prompt, completion=await text(store, blobs, source, architecture.parent))
    except (ValidationError, InvalidInput):
        return None


async def text(store: Store, blobs: Blobs, source: Source, parent: str | None) -> str:
    """Return the answer as it should have been: the code, or what makes it of its parent. Raises InvalidInput."""
    code = await programs.text_of(source.code, blobs)
    if not code.strip():
        raise InvalidInput("code", code, "code: the answer that was given is not on record")
    if parent is None:
        return answers.render(sources.unmarked(code))
    original = await store.source(parent)
    if original is None:
        raise InvalidInput("parent", parent, "a candidate whose code is known")
    return edits.render(await programs.text_of(original.code, blobs), code)
