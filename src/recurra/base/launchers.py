"""What launchers leave in the environment of each process: torchrun, Kubernetes' PyTorchJob, Slurm, Open MPI, MPICH."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recurra.base.errors import ConfigError

PORT: Final = 29500  # torch's own, where a launcher names none
SLURM_PORTS: Final = (20_000, 10_000)  # where the port of a job begins, and over how many jobs are spread
TORCHRUN: Final = "torchrun"


@dataclass(frozen=True, slots=True)
class Place:
    """One of `size` ranks. number: from 0      local: its number on its host      locals: how many are on this host

    address, port: of the store      serves: whether the first rank serves it; else the launcher does
    launcher: who says so
    """

    number: int
    size: int
    local: int
    locals: int | None
    address: str
    port: int
    serves: bool
    launcher: str


def place_of(environment: Mapping[str, str]) -> Place | None:
    """This process among those that a launcher has started; None where it was started alone.

    One process of torchrun counts too: before a restart there may have been more of them.
    Raises ConfigError for an environment that does not say where the ranks meet, or holds no numbers.
    """
    try:
        # mpirun starts its daemons by srun, so that its processes have the daemons' numbers of Slurm too.
        found = next(filter(None, (read(environment) for read in (_torchrun, _mpi, _hydra, _slurm))), None)
    except ValueError as error:
        raise ConfigError(f"the launcher's environment holds no numbers where it should: {error}.") from None
    if found is not None and not 0 <= found.number < found.size:
        raise ConfigError(f"{found.launcher}: expected a rank below {found.size}, got {found.number}.")
    alone = found is None or (found.size == 1 and found.launcher != TORCHRUN)
    return None if alone else found


def _torchrun(environment: Mapping[str, str]) -> Place | None:
    """RANK and WORLD_SIZE: of torchrun, of PyTorchJob, or set by hand."""
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return None
    if "MASTER_ADDR" not in environment:
        raise ConfigError("RANK and WORLD_SIZE are set, but MASTER_ADDR, where the ranks meet, is not. Set it too.")
    return Place(
        int(environment["RANK"]),
        int(environment["WORLD_SIZE"]),
        int(environment.get("LOCAL_RANK", "0")),
        _number(environment, "LOCAL_WORLD_SIZE"),
        environment["MASTER_ADDR"],
        int(environment.get("MASTER_PORT", PORT)),
        serves=environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        launcher=TORCHRUN if "TORCHELASTIC_RUN_ID" in environment else "RANK",
    )


def _slurm(environment: Mapping[str, str]) -> Place | None:
    """A task of a step that srun has started; a batch script itself has numbers too, but is no task."""
    if "SLURM_PROCID" not in environment or "SLURM_STEP_NUM_TASKS" not in environment:
        return None
    first = environment.get("MASTER_ADDR") or first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1"))
    begin, many = SLURM_PORTS
    port = begin + int(environment.get("SLURM_JOB_ID", "0")) % many
    return Place(
        int(environment["SLURM_PROCID"]),
        int(environment["SLURM_STEP_NUM_TASKS"]),
        int(environment.get("SLURM_LOCALID", "0")),
        None,
        first,
        int(environment.get("MASTER_PORT", port)),
        serves=True,
        launcher="srun",
    )


def _mpi(environment: Mapping[str, str]) -> Place | None:
    """A process of Open MPI's mpirun, of which nothing but its numbers is used."""
    if "OMPI_COMM_WORLD_RANK" not in environment:
        return None
    return _by_mpirun(
        environment, "OMPI_COMM_WORLD_{}", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "-x"
    )


def _hydra(environment: Mapping[str, str]) -> Place | None:
    """A process of the mpirun of MPICH or Intel MPI. Slurm's own PMI numbers its tasks too, but not those of a host."""
    if "PMI_RANK" not in environment or "MPI_LOCALNRANKS" not in environment:
        return None
    return _by_mpirun(environment, "PMI_{}", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "-genv")


def _by_mpirun(environment: Mapping[str, str], names: str, local: str, locals: str, option: str) -> Place:
    """names: of rank and size      option: with which this mpirun sets a variable"""
    rank, many = (names.format(word) for word in ("RANK", "SIZE"))
    if many not in environment:
        raise ConfigError(f"{rank} is set, but {many}, how many ranks there are, is not. Set it too, or unset {rank}.")
    size, here = int(environment[many]), _number(environment, locals)
    if "MASTER_ADDR" not in environment and here != size:
        setting = "MASTER_ADDR=HOST" if option == "-x" else "MASTER_ADDR HOST"
        raise ConfigError(
            f"mpirun does not say where the ranks of several hosts meet: add {option} {setting}, the host of rank 0."
        )
    return Place(
        int(environment[rank]),
        size,
        int(environment.get(local, "0")),
        here,
        environment.get("MASTER_ADDR", "127.0.0.1"),
        int(environment.get("MASTER_PORT", PORT)),
        serves=True,
        launcher="mpirun",
    )


def _number(environment: Mapping[str, str], name: str) -> int | None:
    return int(environment[name]) if name in environment else None


def first_host(hosts: str) -> str:
    """The first of Slurm's list of hosts: of `node[07-09,12],login1` it is node07."""
    first = re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", hosts).partition(",")[0]
    if not first:
        raise ConfigError(f"SLURM_STEP_NODELIST: expected names of hosts, got {hosts!r}; set MASTER_ADDR.")
    return first
