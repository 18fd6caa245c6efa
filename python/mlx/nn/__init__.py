"""Neural networks: modules, layers, activations, losses and initialisers over mlx.core."""

from mlx.nn import init, losses
from mlx.nn.layers import *
from mlx.nn.utils import average_gradients, value_and_grad
