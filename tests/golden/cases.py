"""The cases behind golden.npz: what each computes, on any MLX.

A case is a name and a function without arguments that returns a tree of arrays. make_golden.py ran them on a real MLX
and kept the numbers; tests/python/test_nn_golden.py runs them here and compares.
"""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

CASES = {}  # name -> function
EXACT = set()  # those that compare to the last bits: random draws


def case(name, exact=False):
    def keep(f):
        assert name not in CASES, name
        CASES[name] = f
        if exact:
            EXACT.add(name)
        return f

    return keep


def numbers(*shape, seed=0, low=-1.0, high=1.0):
    """Values that look random and need no generator."""
    n = int(np.prod(shape))
    x = np.sin(np.arange(1, n + 1) * (1.37 + 0.11 * seed) + seed) * 43758.5453
    x = (x - np.floor(x)) * (high - low) + low
    return mx.array(x.reshape(shape).astype(np.float32))


def refill(module):
    """Give every parameter values that do not hang on the random generator."""
    flat = tree_flatten(module.parameters())
    new = []
    for i, (path, p) in enumerate(flat):
        low, high = (0.5, 1.5) if path.endswith("running_var") else (-0.5, 0.5)
        new.append((path, numbers(*p.shape, seed=i + 1, low=low, high=high)))
    if new:
        module.update(tree_unflatten(new))
    return module


def through(module, *inputs, call=None):
    """Outputs, and gradients by the trainable parameters and by the floating inputs."""
    call = call or module
    floats = [i for i, x in enumerate(inputs) if isinstance(x, mx.array) and mx.issubdtype(x.dtype, mx.floating)]

    def loss(params, wanted):
        module.update(params)
        args = list(inputs)
        for i, x in zip(floats, wanted):
            args[i] = x
        ys = call(*args)
        ys = ys if isinstance(ys, (tuple, list)) else [ys]
        total = sum((y * numbers(*y.shape, seed=7 + k)).sum() for k, y in enumerate(ys))
        return total, list(ys)

    params = module.trainable_parameters()
    (_, ys), (dparams, dinputs) = mx.value_and_grad(loss, argnums=(0, 1))(params, [inputs[i] for i in floats])
    module.update(params)
    return {"y": ys, "dparams": dparams, "dinputs": dinputs}


def layer(name, make, *inputs, train=True, then=None):
    @case("layer/" + name)
    def run():
        module = refill(make())
        module.train(train)
        out = through(module, *inputs)
        if then:
            out["then"] = then(module)
        return out


x2 = numbers(4, 6, seed=3)
x3 = numbers(2, 5, 6, seed=4)
x4 = numbers(2, 6, 7, 4, seed=5)
x5 = numbers(1, 4, 5, 3, 2, seed=6)
ids = mx.array([[1, 4, 0], [2, 2, 6]])

layer("Linear", lambda: nn.Linear(6, 3), x2)
layer("Linear no bias", lambda: nn.Linear(6, 3, bias=False), x3)
layer("Bilinear", lambda: nn.Bilinear(6, 5, 3), x2, numbers(4, 5, seed=8))
layer("Bilinear no bias", lambda: nn.Bilinear(6, 6, 2, bias=False), x3, x3 * 2)
layer("Identity", lambda: nn.Identity(3), x2)
layer("Embedding", lambda: nn.Embedding(7, 5), ids)
layer("Sequential", lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2), nn.tanh), x2)
layer("Conv1d", lambda: nn.Conv1d(6, 4, 3), x3)
layer("Conv1d all", lambda: nn.Conv1d(6, 4, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), x3)
layer("Conv2d", lambda: nn.Conv2d(4, 3, 3), x4)
layer("Conv2d all", lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2), x4)
layer("Conv3d", lambda: nn.Conv3d(2, 3, 2), x5)
layer("Conv3d all", lambda: nn.Conv3d(2, 3, (2, 3, 2), (1, 2, 1), (1, 0, 1), bias=False), x5)
layer("ConvTranspose1d", lambda: nn.ConvTranspose1d(6, 4, 3, stride=2, padding=1, output_padding=1), x3)
layer("ConvTranspose1d dilation", lambda: nn.ConvTranspose1d(6, 4, 2, dilation=2, bias=False), x3)
layer("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 3, 3, (2, 1), 1, output_padding=(1, 0)), x4)
layer("ConvTranspose3d", lambda: nn.ConvTranspose3d(2, 3, 2, 2), x5)
layer("MaxPool1d", lambda: nn.MaxPool1d(2), x3)
layer("MaxPool1d overlapping", lambda: nn.MaxPool1d(3, 1, 1), x3)
layer("AvgPool1d", lambda: nn.AvgPool1d(2, padding=1), x3)
layer("MaxPool2d", lambda: nn.MaxPool2d(2), x4)
layer("MaxPool2d overlapping", lambda: nn.MaxPool2d(3, 2, 1), x4)
layer("MaxPool2d rectangular", lambda: nn.MaxPool2d((2, 3), (1, 3)), x4)
layer("AvgPool2d", lambda: nn.AvgPool2d((3, 2)), x4)
layer("AvgPool2d overlapping", lambda: nn.AvgPool2d(3, 2, 1), x4)
layer("MaxPool3d", lambda: nn.MaxPool3d(2), x5)
layer("AvgPool3d overlapping", lambda: nn.AvgPool3d(2, 1, 1), x5)
layer("LayerNorm", lambda: nn.LayerNorm(6), x3)
layer("LayerNorm no bias", lambda: nn.LayerNorm(6, eps=1e-3, bias=False), x3)
layer("LayerNorm plain", lambda: nn.LayerNorm(6, affine=False), x3)
layer("RMSNorm", lambda: nn.RMSNorm(6), x3)
layer("InstanceNorm", lambda: nn.InstanceNorm(4), x4)
layer("InstanceNorm affine", lambda: nn.InstanceNorm(4, affine=True), x4)
layer("GroupNorm", lambda: nn.GroupNorm(2, 4), x4)
layer("GroupNorm pytorch", lambda: nn.GroupNorm(2, 4, pytorch_compatible=True), x4)
layer("GroupNorm plain", lambda: nn.GroupNorm(2, 6, affine=False), x3)
layer("BatchNorm", lambda: nn.BatchNorm(4), x4, then=lambda m: [m.running_mean, m.running_var])
layer("BatchNorm 2d", lambda: nn.BatchNorm(6, momentum=0.3), x2, then=lambda m: [m.running_mean, m.running_var])
layer("BatchNorm 3d", lambda: nn.BatchNorm(6, affine=False), x3, then=lambda m: [m.running_mean, m.running_var])
layer("BatchNorm eval", lambda: nn.BatchNorm(4), x4, train=False)
layer("BatchNorm no stats", lambda: nn.BatchNorm(4, track_running_stats=False), x4, train=False)
layer("RNN", lambda: nn.RNN(6, 4), x3)
layer("RNN relu", lambda: nn.RNN(6, 4, bias=False, nonlinearity=nn.relu), x3)
layer("RNN hidden", lambda: nn.RNN(6, 4), x3, numbers(2, 4, seed=9))
layer("GRU", lambda: nn.GRU(6, 4), x3)
layer("GRU no bias", lambda: nn.GRU(6, 4, bias=False), x3)
layer("GRU hidden", lambda: nn.GRU(6, 4), x3, numbers(2, 4, seed=9))
layer("GRU hidden no bias", lambda: nn.GRU(6, 4, bias=False), x3[0], numbers(4, seed=9))
layer("LSTM", lambda: nn.LSTM(6, 4), x3)
layer("LSTM no bias", lambda: nn.LSTM(6, 4, bias=False), x3)
layer("LSTM hidden", lambda: nn.LSTM(6, 4), x3, numbers(2, 4, seed=9), numbers(2, 4, seed=10))
layer("PReLU", lambda: nn.PReLU(6), x3)
layer("Dropout eval", lambda: nn.Dropout(0.3), x3, train=False)
layer("RoPE", lambda: nn.RoPE(6), x3)
layer("RoPE traditional", lambda: nn.RoPE(4, traditional=True, base=100, scale=0.5), x3)
layer("Sinusoidal", lambda: nn.SinusoidalPositionalEncoding(8), numbers(2, 3, seed=2, high=9))
layer("Sinusoidal all", lambda: nn.SinusoidalPositionalEncoding(6, 0.01, 2, 1.0, True, True), numbers(3, seed=2))
layer("ALiBi", lambda: nn.ALiBi(), numbers(1, 4, 3, 3, seed=2))
layer("ALiBi six heads", lambda: nn.ALiBi(), numbers(1, 6, 2, 5, seed=2), 3)
for heads in (2, 3):
    layer(f"MultiHeadAttention {heads}", lambda heads=heads: nn.MultiHeadAttention(6, heads), x3, x3 * 0.5, x3 + 1)
causal = nn.MultiHeadAttention.create_additive_causal_mask(5)
layer(
    "MultiHeadAttention all",
    lambda: nn.MultiHeadAttention(6, 2, 5, 4, 3, 8, 7, bias=True),
    numbers(2, 3, 5, seed=1),
    numbers(2, 4, 4, seed=2),
    numbers(2, 4, 3, seed=3),
)
for first in (True, False):
    kind = "first" if first else "last"
    layer(
        f"TransformerEncoderLayer norm {kind}",
        lambda first=first: nn.TransformerEncoderLayer(6, 2, 8, norm_first=first),
        x3,
        causal,
    )
    layer(
        f"TransformerDecoderLayer norm {kind}",
        lambda first=first: nn.TransformerDecoderLayer(6, 2, 8, norm_first=first, activation=nn.gelu),
        x3,
        numbers(2, 4, 6, seed=1),
        causal,
        None,
    )
layer("TransformerEncoder", lambda: nn.TransformerEncoder(2, 6, 2), x3, None)
layer("TransformerEncoder checkpoint", lambda: nn.TransformerEncoder(2, 6, 2, checkpoint=True), x3, causal)
layer("TransformerDecoder", lambda: nn.TransformerDecoder(1, 6, 2), x3, x3 * 0.5, None, None)
layer("Transformer", lambda: nn.Transformer(6, 2, 1, 1, 8), x3, x3 * 0.5, None, causal, None)
for mode, kinds in (
    ("nearest", [{}]),
    ("linear", [{}, {"align_corners": True}, {"antialias": True}]),
    ("cubic", [{}, {"align_corners": True}, {"antialias": True}]),
):
    for kind in kinds:
        for scale in (2, 1.5, 0.6, (2.0, 0.5)):
            label = f"Upsample {mode} {''.join(kind)} {scale}"
            layer(label, lambda s=scale, m=mode, k=kind: nn.Upsample(s, mode=m, **k), x4)
layer("AllToShardedLinear", lambda: nn.AllToShardedLinear(6, 3), x2)
layer("ShardedToAllLinear", lambda: nn.ShardedToAllLinear(6, 3), x2)


@case("layer/Embedding as_linear")
def _():
    module = refill(nn.Embedding(7, 6))
    return through(module, x2, call=module.as_linear)


for mode in ("affine", "mxfp4", "nvfp4", "mxfp8"):

    @case(f"layer/QuantizedLinear {mode}")
    def _(mode=mode):
        dense = refill(nn.Linear(64, 8))
        x = numbers(3, 64, seed=2)
        return nn.QuantizedLinear.from_linear(dense, mode=mode)(x)

    @case(f"layer/QuantizedEmbedding {mode}")
    def _(mode=mode):
        layer = nn.QuantizedEmbedding.from_embedding(refill(nn.Embedding(7, 64)), mode=mode)
        return [layer(ids), layer.as_linear(numbers(3, 64, seed=2))]


def second(name, make, *inputs):
    """The gradient of the gradient's weighted squares."""

    @case("second/" + name)
    def run():
        module = refill(make())

        def value(params, x):
            module.update(params)
            ys = module(x, *inputs[1:])
            y = ys[0] if isinstance(ys, (tuple, list)) else ys
            return (mx.sin(y) * numbers(*y.shape, seed=3)).sum()

        def of_gradient(params, x):
            grads = tree_flatten(mx.grad(value, argnums=(0, 1))(params, x))
            return sum((mx.square(g) * numbers(*g.shape, seed=5)).sum() for _, g in grads if isinstance(g, mx.array))

        params = module.trainable_parameters()
        out = mx.grad(of_gradient, argnums=(0, 1))(params, inputs[0])
        module.update(params)
        return out


second("Linear", lambda: nn.Linear(6, 3), x2)
second("Conv2d", lambda: nn.Conv2d(4, 2, 3, 2, 1), x4)
second("MaxPool2d", lambda: nn.MaxPool2d(3, 2, 1), x4)
second("LayerNorm", lambda: nn.LayerNorm(6), x3)
second("RMSNorm", lambda: nn.RMSNorm(6), x3)
second("BatchNorm", lambda: nn.BatchNorm(4), x4)
second("LSTM", lambda: nn.LSTM(6, 2), x3)
second("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(6, 2, 4, activation=nn.gelu), x3, causal)

# -- activations ------------------------------------------------------------------------------------------------------

points = mx.array([-9.0, -5.0, -3.0, -2.5, -1.0, -0.51, -0.5, -0.1, 0.0, 0.1, 0.5, 0.51, 1.0, 2.0, 3.0, 6.0, 7.0, 9.0])

for name in """relu relu2 relu6 leaky_relu elu selu celu gelu gelu_approx gelu_fast_approx silu mish sigmoid log_sigmoid
               softplus softsign softshrink hard_shrink hardswish hard_tanh tanh softmax softmin log_softmax glu""".split():

    @case("activation/" + name)
    def _(name=name):
        f = getattr(nn, name)
        w = numbers(*f(points).shape, seed=1)
        return {"y": f(points), "dx": mx.grad(lambda x: (f(x) * w).sum())(points)}


for name, f in {
    "step": lambda x: nn.step(x, 0.5),
    "leaky_relu 0.2": lambda x: nn.leaky_relu(x, 0.2),
    "elu 0.7": lambda x: nn.elu(x, 0.7),
    "celu 0.7": lambda x: nn.celu(x, 0.7),
    "softshrink 1": lambda x: nn.softshrink(x, 1.0),
    "hard_shrink 1": lambda x: nn.hard_shrink(x, 1.0),
    "hard_tanh -2 3": lambda x: nn.hard_tanh(x, -2.0, 3.0),
    "prelu": lambda x: nn.prelu(x, mx.array(0.1)),
    "softmax axis 0": lambda x: nn.softmax(x.reshape(6, 3), axis=0),
    "log_softmax axis 0": lambda x: nn.log_softmax(x.reshape(6, 3), 0),
    "glu axis 0": lambda x: nn.glu(x.reshape(6, 3), axis=0),
}.items():
    case("activation/" + name)(lambda f=f: f(points))

for name in (
    """CELU ELU GELU GLU HardShrink HardTanh Hardswish LeakyReLU LogSigmoid LogSoftmax Mish PReLU ReLU ReLU2 ReLU6
               SELU SiLU Sigmoid Softmax Softmin Softplus Softshrink Softsign Step Tanh""".split()
):
    case("activation layer/" + name)(lambda name=name: getattr(nn, name)()(points))

# -- losses -----------------------------------------------------------------------------------------------------------

logits = numbers(4, 5, seed=1, low=-3, high=3)
classes = mx.array([0, 4, 2, 2])
shares = mx.softmax(numbers(4, 5, seed=2, low=-2, high=2), axis=-1)
row = numbers(6, seed=3)
other = numbers(6, seed=4)
positive = numbers(6, seed=5, low=0.1, high=0.9)
signs = mx.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
L = nn.losses

for name, (f, x) in {
    "cross_entropy": (lambda x, r: L.cross_entropy(x, classes, reduction=r), logits),
    "cross_entropy smoothed": (lambda x, r: L.cross_entropy(x, classes, label_smoothing=0.1, reduction=r), logits),
    "cross_entropy weighted": (lambda x, r: L.cross_entropy(x, classes, positive[:4], reduction=r), logits),
    "cross_entropy axis 0": (lambda x, r: L.cross_entropy(x, mx.array([0, 1, 3, 2, 2]), axis=0, reduction=r), logits),
    "cross_entropy shares": (lambda x, r: L.cross_entropy(x, shares, reduction=r), logits),
    "cross_entropy shares smoothed": (
        lambda x, r: L.cross_entropy(x, shares, label_smoothing=0.2, reduction=r),
        logits,
    ),
    "binary_cross_entropy": (lambda x, r: L.binary_cross_entropy(x, positive, reduction=r), row * 4),
    "binary_cross_entropy weighted": (lambda x, r: L.binary_cross_entropy(x, positive, other, reduction=r), row),
    "binary_cross_entropy shares": (
        lambda x, r: L.binary_cross_entropy(x, signs > 0, with_logits=False, reduction=r),
        positive,
    ),
    "l1_loss": (lambda x, r: L.l1_loss(x, other, r), row),
    "mse_loss": (lambda x, r: L.mse_loss(x, other, r), row),
    "nll_loss": (lambda x, r: L.nll_loss(x, classes, reduction=r), logits),
    "nll_loss axis 0": (lambda x, r: L.nll_loss(x, mx.array([0, 1, 3, 2, 2]), 0, r), logits),
    "gaussian_nll_loss": (lambda x, r: L.gaussian_nll_loss(x, other, positive, reduction=r), row),
    "gaussian_nll_loss full": (lambda x, r: L.gaussian_nll_loss(row, other, x, full=True, reduction=r), positive),
    "kl_div_loss": (lambda x, r: L.kl_div_loss(nn.log_softmax(x), mx.log(shares), reduction=r), logits),
    "kl_div_loss axis 0": (lambda x, r: L.kl_div_loss(x, mx.log(shares), 0, r), logits),
    "smooth_l1_loss": (lambda x, r: L.smooth_l1_loss(x, other, reduction=r), row),
    "smooth_l1_loss beta": (lambda x, r: L.smooth_l1_loss(x, other, 0.3, r), row),
    "triplet_loss": (lambda x, r: L.triplet_loss(x, logits * 0.9, logits[::-1], reduction=r), logits + 0.1),
    "triplet_loss all": (lambda x, r: L.triplet_loss(x, logits * 0.9, logits[::-1], 0, 3, 9.0, 1e-3, r), logits + 0.1),
    "hinge_loss": (lambda x, r: L.hinge_loss(x, signs, r), row),
    "huber_loss": (lambda x, r: L.huber_loss(x, other, reduction=r), row * 3),
    "huber_loss delta": (lambda x, r: L.huber_loss(x, other, 0.4, r), row),
    "log_cosh_loss": (lambda x, r: L.log_cosh_loss(x, other, r), row * 30),
    "cosine_similarity_loss": (lambda x, r: L.cosine_similarity_loss(x, shares, reduction=r), logits),
    "cosine_similarity_loss axis 0": (lambda x, r: L.cosine_similarity_loss(x, shares, 0, 3.0, r), logits),
    "margin_ranking_loss": (lambda x, r: L.margin_ranking_loss(x, other, signs, 0.2, r), row),
}.items():

    @case("loss/" + name)
    def _(f=f, x=x):
        out = {r: f(x, r) for r in ("none", "mean", "sum")}
        w = numbers(*out["none"].shape, seed=6)
        out["grad"] = mx.grad(lambda x: (f(x, "none") * w).sum())(x)
        return out


# -- optimizers: ten steps on one tree --------------------------------------------------------------------------------


def ten_steps(make, dtype=mx.float32):
    optimizer = make()
    params = {"w": numbers(3, 4, seed=1), "deep": [{"b": numbers(5, seed=2)}, {"k": numbers(2, 3, 3, 2, seed=3)}]}
    params = tree_map(lambda p: p.astype(dtype), params)
    for i in range(10):
        grads = tree_map(lambda p: (mx.sin(3 * p + i) * p * 0.3 + 0.1).astype(dtype), params)
        params = optimizer.apply_gradients(grads, params)
        mx.eval(params, optimizer.state)
    return {"params": params, "state": optimizer.state}


for name, make in {
    "SGD": lambda: optim.SGD(0.1),
    "SGD momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "SGD all": lambda: optim.SGD(0.1, momentum=0.8, weight_decay=0.1, dampening=0.3),
    "SGD nesterov": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "RMSprop": lambda: optim.RMSprop(0.01),
    "RMSprop all": lambda: optim.RMSprop(0.01, alpha=0.9, eps=1e-3),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "AdaDelta": lambda: optim.AdaDelta(1.0),
    "AdaDelta all": lambda: optim.AdaDelta(1.0, rho=0.8, eps=1e-3),
    "Adam": lambda: optim.Adam(0.01),
    "Adam corrected": lambda: optim.Adam(0.01, betas=[0.8, 0.95], eps=1e-6, bias_correction=True),
    "AdamW": lambda: optim.AdamW(0.01),
    "AdamW all": lambda: optim.AdamW(0.01, weight_decay=0.3, bias_correction=True),
    "Adamax": lambda: optim.Adamax(0.01),
    "Lion": lambda: optim.Lion(0.01),
    "Lion decay": lambda: optim.Lion(0.01, betas=[0.8, 0.9], weight_decay=0.3),
    "Adafactor": lambda: optim.Adafactor(),
    "Adafactor own rate": lambda: optim.Adafactor(0.01, relative_step=False, scale_parameter=False),
    "Adafactor all": lambda: optim.Adafactor(
        clip_threshold=0.5, decay_rate=-0.7, beta_1=0.9, weight_decay=0.1, warmup_init=True
    ),
    "Muon": lambda: optim.Muon(0.02),
    "Muon all": lambda: optim.Muon(0.02, momentum=0.9, weight_decay=0.1, nesterov=False, ns_steps=3),
    "schedule": lambda: optim.Adam(
        optim.join_schedules([optim.linear_schedule(0, 0.1, 4), optim.cosine_decay(0.1, 8)], [4])
    ),
    "multi": lambda: optim.MultiOptimizer([optim.SGD(0.1), optim.Adam(0.01)], [lambda path, p: p.ndim > 1]),
}.items():
    case("optimizer/" + name)(lambda make=make: ten_steps(make))

for name, make in {
    "exponential_decay": lambda: optim.exponential_decay(0.1, 0.9),
    "step_decay": lambda: optim.step_decay(0.1, 0.9, 3),
    "cosine_decay": lambda: optim.cosine_decay(0.1, 10, 0.01),
    "linear_schedule": lambda: optim.linear_schedule(0.3, 0.1, 5),
    "join_schedules": lambda: optim.join_schedules(
        [optim.linear_schedule(0, 0.1, 3), optim.cosine_decay(0.1, 5), optim.step_decay(1.0, 0.5, 2)], [4, 9]
    ),
}.items():
    case("schedule/" + name)(lambda make=make: [make()(mx.array(i, dtype=mx.uint64)) for i in range(14)])

case("clip_grad_norm")(lambda: optim.clip_grad_norm({"a": row, "b": [logits]}, 1.5))

# -- initial values ---------------------------------------------------------------------------------------------------

for name, make in {
    "Linear": lambda: nn.Linear(5, 3),
    "Bilinear": lambda: nn.Bilinear(3, 2, 4),
    "Embedding": lambda: nn.Embedding(4, 3),
    "Conv1d": lambda: nn.Conv1d(4, 2, 3, groups=2),
    "Conv2d": lambda: nn.Conv2d(3, 2, (2, 3)),
    "Conv3d": lambda: nn.Conv3d(2, 2, 2),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 2, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(3, 2, 2),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(2, 2, 2),
    "RNN": lambda: nn.RNN(3, 2),
    "GRU": lambda: nn.GRU(3, 2),
    "LSTM": lambda: nn.LSTM(3, 2),
    "MultiHeadAttention": lambda: nn.MultiHeadAttention(4, 2, bias=True),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(4, 2),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(4, 2),
    "Transformer": lambda: nn.Transformer(2, 1, 1, 1, 3),
    "AllToShardedLinear": lambda: nn.AllToShardedLinear(4, 2),
    "ShardedToAllLinear": lambda: nn.ShardedToAllLinear(4, 2),
    "norms": lambda: nn.Sequential(
        nn.LayerNorm(2), nn.RMSNorm(2), nn.BatchNorm(2), nn.GroupNorm(1, 2), nn.InstanceNorm(2, affine=True)
    ),
}.items():

    @case("initial/" + name, exact=True)
    def _(make=make):
        mx.random.seed(11)
        return make().parameters()


a23 = mx.zeros((3, 4))
for name, f in {
    "constant": lambda: nn.init.constant(0.5)(a23),
    "normal": lambda: nn.init.normal(1.0, 0.5)(a23),
    "uniform": lambda: nn.init.uniform(-2.0, 3.0)(a23),
    "identity": lambda: nn.init.identity()(mx.zeros((3, 3))),
    "glorot_normal": lambda: nn.init.glorot_normal()(a23, 2.0),
    "glorot_uniform": lambda: nn.init.glorot_uniform()(mx.zeros((2, 3, 3, 4))),
    "he_normal": lambda: nn.init.he_normal()(a23, "fan_out", 0.5),
    "he_uniform": lambda: nn.init.he_uniform()(mx.zeros((2, 3, 4))),
    "sparse": lambda: nn.init.sparse(0.4)(a23),
    "half": lambda: nn.init.uniform(dtype=mx.float16)(a23),
}.items():

    @case("init/" + name, exact=True)
    def _(f=f):
        mx.random.seed(12)
        return f()


for name, make, x in (
    ("Dropout", lambda: nn.Dropout(0.3), x3),
    ("Dropout2d", lambda: nn.Dropout2d(0.5), x4),
    ("Dropout3d", lambda: nn.Dropout3d(0.5), x5),
):

    @case("drawn/" + name, exact=True)
    def _(make=make, x=x):
        mx.random.seed(13)
        return make()(x)


def run(name):
    """The case's arrays by path, as NumPy arrays."""
    out = {}
    for path, x in tree_flatten(CASES[name]()):
        x = mx.array(x)
        out[path] = np.array(x.astype(mx.float32) if x.dtype == mx.bfloat16 else x)
    return out
