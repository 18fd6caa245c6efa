"""Attention of (4, 8, 1024, 64), and one query against a long cache, forward and with gradients of all three inputs."""

import peers


def inputs(batch, heads, rows, columns, width, kv_heads=None):
    def make(rng):
        shapes = [(batch, heads, rows, width)] + [(batch, kv_heads or heads, columns, width)] * 2
        return [rng.standard_normal(s).astype("float32") for s in shapes]
    return make


def ours(causal):
    def step(mx, q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask="causal" if causal else None)
    return step


def torchs(causal, grouped=False):
    def step(torch, q, k, v):
        options = {"enable_gqa": True} if grouped else {}
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, **options)
    return step


def jaxs(causal):
    def step(_, q, k, v):
        import jax
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        return jax.nn.dot_product_attention(q, k, v, is_causal=causal).swapaxes(1, 2)
    return step


def gradients(causal):
    def mine(mx, q, k, v):
        return mx.grad(lambda *x: ours(causal)(mx, *x).sum(), argnums=(0, 1, 2))(q, k, v)

    def torch(torch, q, k, v):
        x = [a.detach().requires_grad_() for a in (q, k, v)]
        return torch.autograd.grad(torchs(causal)(torch, *x).sum(), x)

    def jax(jnp, q, k, v):
        import jax
        return jax.grad(lambda *x: jaxs(causal)(jnp, *x).sum(), argnums=(0, 1, 2))(q, k, v)
    return {"mx": mine, "torch": torch, "jax": jax}


def forward(causal, grouped=False):
    return {"mx": ours(causal), "torch": torchs(causal, grouped), "jax": jaxs(causal)}


LONG = inputs(4, 8, 1024, 1024, 64)
RACES = {
    "4x8x1024x64 causal, forward": peers.race(LONG, **forward(True)),
    "4x8x1024x64 causal, backward": peers.race(LONG, **gradients(True)),
    "4x8x1024x64, forward": peers.race(LONG, **forward(False)),
    "4x8x1024x64, backward": peers.race(LONG, **gradients(False)),
    "16x4x128x64 causal, backward": peers.race(inputs(16, 4, 128, 128, 64), **gradients(True)),
    "1 query, 9 heads of 3, 4096 keys": peers.race(inputs(1, 9, 1, 4096, 64, 3), **forward(False, True)),
}
ROUNDS = 5
