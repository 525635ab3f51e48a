"""Random state of torch, stored in checkpoints and restored when a run resumes."""

import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer


class RandomState(Callback):
    """Saves and restores the random generator states of each rank: of the CPU and of its GPU.

    The randomness of the data is not included: it is a function of the seed (``bev.data.epoch``).
    The states are restored at the start of training, after everything that is built before it has
    drawn its numbers. If the number of ranks changes, the ranks keep their fresh states.
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
        own_states = [torch.get_rng_state()]
        if torch.cuda.is_available():
            own_states.append(torch.cuda.get_rng_state())
        states: list = [own_states]
        if torch.distributed.is_initialized():
            states = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, own_states)
        return {"states": states}

    def load_state_dict(self, state: dict) -> None:
        self.states = state["states"]
