"""A small language to learn: English sentences of a few forms, made at random, as numbers of words."""

import random

import mlx.core as mx

SINGULAR = ["fox", "dog", "girl", "boy", "cat", "teacher", "king", "bird"]
PLURAL = ["foxes", "dogs", "girls", "boys", "cats", "teachers", "kings", "birds"]
ADJECTIVES = ["red", "small", "tall", "clever", "quiet", "happy"]
VERBS = [("sees", "see"), ("likes", "like"), ("hears", "hear"), ("follows", "follow"), ("finds", "find")]
SPECIAL = ["<pad>", "<mask>", "<start>", "<end>"]
PAD, MASK, START, END = range(4)
WORDS = SPECIAL + ["a", "the", "one", "two", "many", "and", "."] + ADJECTIVES + SINGULAR + PLURAL + [w for v in VERBS for w in v]
NUMBER = {word: i for i, word in enumerate(WORDS)}
LENGTH = 12  # of the longest sentence, with start and end


def noun_phrase(rng: random.Random) -> tuple[list[str], bool]:
    """Words, and whether they mean several: article and noun agree."""
    plural = rng.random() < 0.5
    words = [rng.choice(["two", "many", "the"] if plural else ["a", "one", "the"])]
    if rng.random() < 0.5:
        words.append(rng.choice(ADJECTIVES))
    return words + [rng.choice(PLURAL if plural else SINGULAR)], plural


def sentence(rng: random.Random) -> list[str]:
    """Somebody does something to somebody; the verb agrees with who does it."""
    subject, plural = noun_phrase(rng)
    thing, _ = noun_phrase(rng)
    return [*subject, rng.choice(VERBS)[plural], *thing, "."]


def encode(words: list[str], length: int = LENGTH) -> list[int]:
    numbers = [START, *(NUMBER[w] for w in words), END]
    return numbers + [PAD] * (length - len(numbers))


def decode(numbers: list[int]) -> str:
    return " ".join(WORDS[n] for n in numbers if n >= len(SPECIAL))


def sentences(n: int, seed: int = 0) -> mx.array:
    """(n, LENGTH) numbers of words."""
    rng = random.Random(seed)
    return mx.array([encode(sentence(rng)) for _ in range(n)], dtype=mx.int32)
