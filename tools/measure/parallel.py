"""Work spread over processes, with a bar."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

from tqdm import tqdm

from freeavatar.errors import FreeAvatarError

SINGLE_THREADED: Final = {"LP_NUM_THREADS": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""One thread a process: those of llvmpipe and of the linear algebra would only get in each other's way."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def spread(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, label: str) -> list[Result]:
    """``work`` of every job, in order, by ``workers`` fresh processes.

    Raises:
        FreeAvatarError: a process died.
    """
    for name, threads in SINGLE_THREADED.items():
        os.environ.setdefault(name, threads)
    with ProcessPoolExecutor(max(1, min(workers, len(jobs))), multiprocessing.get_context("spawn")) as pool:
        try:
            return list(tqdm(pool.map(work, jobs), total=len(jobs), desc=label, miniters=1))
        except BrokenProcessPool as error:
            raise FreeAvatarError(f"{label}: a process died, perhaps for lack of memory; try again with fewer --workers") from error
