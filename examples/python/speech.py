"""Sound to text, as Whisper: log-mel spectra, an encoder with two convolutions, a decoder that writes what it hears.

The sounds are telephone keys (two tones each, of seven) in noise, pressed at no fixed pace; the text is the number dialled.
Frames are views into the samples, their spectra come from mx.fft, and mel filters are triangles.
"""

import argparse
import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
from progress import Progress

RATE, WINDOW, HOP, MELS = 4000, 256, 80, 40
SAMPLES, KEYS = 4800, 5
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)
PAD, END, FIRST = 0, 1, 2  # then the digits


def dialled(n: int, noise: float, seed: int) -> tuple[mx.array, mx.array]:
    """n sounds (n, SAMPLES), and three to KEYS digits with an end and padding (n, KEYS + 1)."""
    rng = np.random.default_rng(seed)
    sounds, texts = noise * rng.normal(size=(n, SAMPLES)), np.full((n, KEYS + 1), PAD)
    for sound, text in zip(sounds, texts):
        at = rng.integers(100, 300)
        digits = rng.integers(0, 10, rng.integers(3, KEYS + 1))
        for digit in digits:
            row, column = divmod(digit - 1, 3) if digit else (3, 1)
            t = np.arange(rng.integers(450, 600)) / RATE
            tone = np.sin(2 * np.pi * LOW[row] * t) + np.sin(2 * np.pi * HIGH[column] * t + rng.uniform(0, 6))
            sound[at : at + len(t)] += rng.uniform(0.3, 0.6) * tone
            at += len(t) + rng.integers(150, 350)
        text[: len(digits)] = FIRST + digits
        text[len(digits)] = END
    return mx.array(sounds.astype(np.float32)), mx.array(texts.astype(np.int32))


def mel_filters() -> mx.array:
    """Triangles that overlap by half, evenly spaced in mels; (WINDOW / 2 + 1, MELS)."""
    lowest, highest = (2595 * math.log10(1 + f / 700) for f in (300, RATE / 2))
    corners = 700 * (10 ** (np.linspace(lowest, highest, MELS + 2) / 2595) - 1)
    frequency = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rise = (frequency - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - frequency) / (corners[2:] - corners[1:-1])
    return mx.array(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))


def log_mel(sounds: mx.array, filters: mx.array) -> mx.array:
    """(n, frames, MELS), about 0 and 1 apart, however loud the sound is."""
    n, size = sounds.shape
    frames = (size - WINDOW) // HOP + 1
    windows = mx.as_strided(sounds, (n, frames, WINDOW), (size, HOP, 1))
    hann = 0.5 - 0.5 * mx.cos(2 * math.pi * mx.arange(WINDOW) / WINDOW)
    power = mx.square(mx.abs(mx.fft.rfft(windows * hann)))
    spectrum = mx.log10(mx.maximum(power @ filters, 1e-10))
    return (spectrum - spectrum.mean(axis=(1, 2), keepdims=True)) / spectrum.std(axis=(1, 2), keepdims=True)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, crossed: bool) -> None:
        super().__init__()
        self.attention, self.norm1 = nn.MultiHeadAttention(width, heads), nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        if crossed:
            self.cross, self.norm3 = nn.MultiHeadAttention(width, heads), nn.LayerNorm(width)

    def __call__(self, x: mx.array, memory: mx.array | None = None) -> mx.array:
        y = self.norm1(x)
        mask = None if memory is None else nn.MultiHeadAttention.create_additive_causal_mask(y.shape[1])
        x = x + self.attention(y, y, y, mask)
        if memory is not None:
            x = x + self.cross(self.norm3(x), memory, memory)
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class Listener(nn.Module):
    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.time = nn.SinusoidalPositionalEncoding(width, max_freq=1, min_freq=0.01, scale=1)
        self.encoder = [Block(width, heads, False) for _ in range(layers)]
        self.tokens, self.places = nn.Embedding(FIRST + 10, width), nn.Embedding(KEYS + 1, width)
        self.decoder = [Block(width, heads, True) for _ in range(layers)]
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def encode(self, mels: mx.array) -> mx.array:
        x = nn.gelu(self.conv2(nn.gelu(self.conv1(mels))))
        x = x + self.time(mx.arange(x.shape[1]))
        for block in self.encoder:
            x = block(x)
        return self.norm1(x)

    def decode(self, tokens: mx.array, memory: mx.array) -> mx.array:
        x = self.tokens(tokens) + self.places(mx.arange(tokens.shape[1]))
        for block in self.decoder:
            x = block(x, memory)
        return self.tokens.as_linear(self.norm2(x))

    def transcribe(self, mels: mx.array) -> mx.array:
        memory, tokens = self.encode(mels), mx.zeros((len(mels), 1), dtype=mx.int32)
        for _ in range(KEYS + 1):
            following = mx.argmax(self.decode(tokens, memory)[:, -1:], axis=-1)
            tokens = mx.concatenate([tokens, following.astype(mx.int32)], axis=1)
        return tokens[:, 1:]


def loss_fn(model: Listener, mels: mx.array, text: mx.array) -> mx.array:
    shifted = mx.pad(text[:, :-1], [(0, 0), (1, 0)])
    losses = nn.losses.cross_entropy(model.decode(shifted, model.encode(mels)), text)
    said = (text != PAD).astype(losses.dtype)
    return mx.sum(losses * said) / mx.sum(said)


def number(tokens: list[int]) -> str:
    end = tokens.index(END) if END in tokens else len(tokens)
    return "".join(str(t - FIRST) for t in tokens[:end] if t >= FIRST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    sounds, texts = dialled(1024, args.noise, seed=1)
    new_sounds, new_texts = dialled(100, args.noise, seed=2)
    filters = mel_filters()
    mels, new_mels = log_mel(sounds, filters), log_mel(new_sounds, filters)
    model = Listener()
    mx.eval(model.parameters(), mels, new_mels)
    parameters = sum(p.size for _, p in tree_flatten(model.parameters()))
    print(f"{SAMPLES / RATE} s of sound are {mels.shape[1]} frames of {MELS} mels; {parameters:,} parameters")
    optimizer = optim.AdamW(optim.cosine_decay(2e-3, args.steps), bias_correction=True)
    state = [model.state, optimizer.state]

    def step(mels: mx.array, text: mx.array) -> mx.array:
        loss, grads = nn.value_and_grad(model, loss_fn)(model, mels, text)
        optimizer.update(model, optim.clip_grad_norm(grads, 1.0)[0])
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    print(f"loss before {loss_fn(model, new_mels, new_texts).item():.3f}")
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        ids = mx.random.randint(0, len(mels), (args.batch_size,))
        loss = compiled(mels[ids], texts[ids])
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"loss after  {loss_fn(model, new_mels, new_texts).item():.3f}")
    heard = [number(t) for t in model.transcribe(new_mels).tolist()]
    said = [number(t) for t in new_texts.tolist()]
    for a, b in list(zip(said, heard))[:3]:
        print(f"dialled {a}, heard {b}")
    print(f"numbers right {sum(a == b for a, b in zip(said, heard))} %")


if __name__ == "__main__":
    main()
