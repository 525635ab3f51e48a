"""Random numbers of numpy's former generator, which the package imagecorruptions draws."""

import numpy as np


class Legacy:
    """The numbers that follow ``np.random.seed(seed)``."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def random(self, size=None, dtype=float):
        drawn = self.state.random_sample(size)
        return drawn if size is None else drawn.astype(dtype)

    def standard_normal(self, size=None, dtype=float):
        return self.state.standard_normal(size).astype(dtype)
