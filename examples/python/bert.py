"""A masked language model, as BERT: an encoder that reads in both directions fills in words that are hidden from it.

It learns from made sentences in which articles, nouns and verbs must agree, so to find a hidden word it has to look at the
others, on both sides. At the end it fills gaps, and says how often the word it chooses is one that the grammar allows.
"""

import argparse

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from progress import Progress
from sentences import LENGTH, MASK, NUMBER, PAD, PLURAL, SINGULAR, SPECIAL, VERBS, WORDS, decode, sentences


class Bert(nn.Module):
    def __init__(self, words: int, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Embedding(LENGTH, width)
        self.norm = nn.LayerNorm(width)
        self.encoder = nn.TransformerEncoder(layers, width, heads, 4 * width, norm_first=True)
        self.dense = nn.Linear(width, width)
        self.bias = mx.zeros((words,))

    def __call__(self, tokens: mx.array) -> mx.array:
        x = self.norm(self.words(tokens) + self.places(mx.arange(tokens.shape[1])))
        unread = mx.where(tokens == PAD, -1e9, 0.0)[:, None, None]  # nobody looks at padding
        x = self.encoder(x, unread)
        return self.words.as_linear(nn.gelu(self.dense(x))) + self.bias


def hide(tokens: mx.array, share: float = 0.15) -> tuple[mx.array, mx.array]:
    """Of a share of the words, eight in ten are masked, one is another word, one stays: all are asked for."""
    asked = (mx.random.uniform(shape=tokens.shape) < share) & (tokens >= len(SPECIAL))
    dice = mx.random.uniform(shape=tokens.shape)
    other = mx.random.randint(len(SPECIAL), len(WORDS), tokens.shape).astype(tokens.dtype)
    shown = mx.where(dice < 0.8, MASK, mx.where(dice < 0.9, other, tokens))
    return mx.where(asked, shown, tokens).astype(tokens.dtype), asked


def loss_fn(model: Bert, shown: mx.array, tokens: mx.array, asked: mx.array) -> mx.array:
    losses = nn.losses.cross_entropy(model(shown), tokens)
    return (losses * asked).sum() / mx.maximum(asked.sum(), 1)


def agreement(model: Bert, tokens: mx.array) -> float:
    """How often a hidden verb comes back in the form that its subject wants: one of two."""
    forms = mx.array([[NUMBER[form] for form in pair] for pair in VERBS])  # (verbs, 2)
    is_verb = (tokens[..., None] == forms.reshape(-1)).any(axis=-1)
    logits = model(mx.where(is_verb, MASK, tokens).astype(tokens.dtype))[..., forms]  # (n, length, verbs, 2)
    says_plural = mx.logsumexp(logits[..., 1], axis=-1) > mx.logsumexp(logits[..., 0], axis=-1)
    plural = (tokens[..., None] == forms[:, 1]).any(axis=-1)
    return float((((says_plural == plural) & is_verb).sum() / is_verb.sum()).item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    training, held = sentences(4096, seed=1), sentences(256, seed=2)
    model = Bert(len(WORDS))
    mx.eval(model.parameters())
    print(f"{len(WORDS)} words; {sum(p.size for _, p in tree_flatten(model.parameters())):,} parameters")
    optimizer = optim.AdamW(optim.cosine_decay(2e-3, args.steps), bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]

    def step(tokens: mx.array) -> mx.array:
        shown, asked = hide(tokens)
        loss, grads = nn.value_and_grad(model, loss_fn)(model, shown, tokens, asked)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    print(f"verbs that agree before {100 * agreement(model, held):.1f} %")
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        loss = compiled(training[mx.random.randint(0, len(training), (args.batch_size,))])
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"verbs that agree after  {100 * agreement(model, held):.1f} %")

    for tokens in held[:3].tolist():
        at = next(i for i, t in enumerate(tokens) if WORDS[t] in SINGULAR + PLURAL)
        gap = [MASK if i == at else t for i, t in enumerate(tokens)]
        chances = mx.softmax(model(mx.array([gap]))[0, at])
        best = [f"{WORDS[i]} {chances[i].item():.2f}" for i in mx.argsort(-chances)[:3].tolist()]
        print(f"{decode(tokens)!r} without {WORDS[tokens[at]]!r}: {', '.join(best)}")


if __name__ == "__main__":
    main()
