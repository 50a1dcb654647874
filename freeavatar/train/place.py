"""Where a process trains: its device, and its number among those that ``torchrun`` started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import distributed

AGREE_EVERY: Final = 10
"""Steps after which several processes ask each other whether one was told to stop."""


@dataclass(frozen=True)
class Place:
    """Where this process trains.

    Attributes:
        device: the device of this process.
        rank: its number among the processes.
        world: how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1


@contextmanager
def place(threads: int = 0) -> Iterator[Place]:
    """The place of this process, alone or as one of those that ``torchrun`` started (NCCL on GPUs, else Gloo).

    Args:
        threads: CPU threads; 0 leaves the choice to torch.
    """
    if threads:
        torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if not distributed.is_torchelastic_launched():
        yield Place(device)
        return
    distributed.init_process_group("nccl" if gpu else "gloo", device_id=device if gpu else None)
    try:
        yield Place(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def leads() -> bool:
    """Whether this process is the one that writes files, evaluates and exports."""
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


def told_to_stop(told: bool, step: int, where: Place) -> bool:
    """Whether any process was told to stop; all of them get the same answer."""
    if where.world == 1:
        return told
    if step % AGREE_EVERY:
        return False
    flag = torch.tensor(float(told), device=where.device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag.item())


def has_bf16(device: torch.device) -> bool:
    """Does the device calculate in bf16 itself? Where it is emulated, as on CPUs without AVX-512, it is ten times slower than float32."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
