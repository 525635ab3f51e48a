"""The random state of torch, kept in checkpoints and restored where a resumed run begins."""

import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer


class RandomState(Callback):
    """Each rank's generator states, of the CPU and of its GPU, as training left them.

    The data's randomness is not among them: it is a function of the seed (``bev.data.epoch``).
    Restored when all that is built before training has drawn its numbers. With another number of
    ranks than before, they keep their fresh states.
    """

    def __init__(self) -> None:
        self.states: list[list[torch.Tensor]] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if len(self.states) == trainer.world_size:
            cpu, *gpu = self.states[trainer.global_rank]
            torch.set_rng_state(cpu)
            if gpu and torch.cuda.is_available():
                torch.cuda.set_rng_state(gpu[0])

    def state_dict(self) -> dict:
        mine = [torch.get_rng_state()]
        if torch.cuda.is_available():
            mine.append(torch.cuda.get_rng_state())
        states: list = [mine]
        if torch.distributed.is_initialized():
            states = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, mine)
        return {"states": states}

    def load_state_dict(self, state: dict) -> None:
        self.states = state["states"]
