"""Processes of an evaluation: each predicts a part of the split, and the first one scores it all.

They are started like those of a training run: by torchrun or srun, or by Lightning, which runs the
command again for each further device of this machine.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from bev.data.dataset import KeyFrames
from bev.errors import TrainingError
from bev.evaluation.evaluation import Evaluation
from bev.evaluation.predict import predict
from bev.evaluation.shards import shard
from bev.machine import default_device, local_processes
from bev.models import Detector
from bev.training.datamodule import make_loader
from bev.training.distributed.launch import device_faults, environment, machines
from bev.training.workers import ending_workers

_PATIENCE = timedelta(days=1)  # the first process to finish waits for the others


@dataclass(frozen=True)
class Processes:
    """This process among those of an evaluation.

    Attributes:
        rank: number of this process; 0 collects the results.
        count: number of processes on all machines.
        local: number of processes on this machine.
        device: device of this process.
    """

    rank: int = 0
    count: int = 1
    local: int = 1
    device: torch.device = field(default_factory=default_device)


def connected(devices: int) -> Processes:
    """Start and connect the processes of an evaluation.

    The processes that are started run the whole command: what comes before this call runs in each
    of them, without output if ``bev.machine.rank`` is not 0.

    Args:
        devices: processes on this machine; 0 for all GPUs, or 1 process without GPUs. torchrun and
            srun set their own number.

    Raises:
        TrainingError: if the machine has fewer devices, or processes cannot be started from here.
    """
    local = local_processes(devices)
    if local * machines() == 1:
        return Processes()
    faults = device_faults(devices, "devices", "bevlab evaluate")
    if faults:
        raise TrainingError(" ".join(faults))
    # Only results are exchanged, which are objects in the memory of the host.
    strategy = DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE)
    plugins = environment(local, "--devices")
    fabric = Fabric(devices=local, num_nodes=machines(), strategy=strategy, plugins=[*plugins])
    fabric.launch()
    return Processes(fabric.global_rank, fabric.world_size, local, fabric.device)


def predict_split(
    model: Detector, frames: KeyFrames, processes: Processes, blank: bool = False
) -> Evaluation | None:
    """Predict a split on all processes; the evaluation with all results on rank 0, elsewhere None.

    Args:
        model: detector in evaluation mode.
        frames: key frames of the split.
        processes: this process among all; it predicts its part, see :func:`shard`.
        blank: replace the images by uniform grey.

    Raises:
        BevError: if samples cannot be read or predicted, on any of the processes.
    """
    mine = shard(len(frames), frames.config.batch_size, processes.rank, processes.count)
    loader = make_loader(frames, mine, processes.local)
    with ending_workers():
        try:
            evaluation = predict(model.to(processes.device), loader, processes.device, blank)
        except Exception as error:
            if processes.count == 1:
                raise
            evaluation = Evaluation(model.config, frames.config)
            evaluation.fail(error)
    if processes.count == 1:
        return evaluation
    evaluation.gather()
    torch.distributed.destroy_process_group()
    if processes.rank:
        return None
    if evaluation.errors and not evaluation.going:
        raise next(iter(evaluation.errors.values()))
    return evaluation
