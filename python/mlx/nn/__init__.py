"""Neural networks: modules, layers, activations, losses and initialisers over mlx.core."""

from mlx.nn import init as init, losses as losses
from mlx.nn.layers import *
from mlx.nn.utils import (
    ExponentialMovingAverage as ExponentialMovingAverage,
    GradientAccumulator as GradientAccumulator,
    average_gradients as average_gradients,
    value_and_grad as value_and_grad,
)
