"""Which of how many processes this one is, as launchers say it in the environment."""

from __future__ import annotations

import pytest

from recurra.base.errors import ConfigError
from recurra.base.launchers import Place, first_host, place_of

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "7",
    "TORCHELASTIC_RUN_ID": "job", "TORCHELASTIC_USE_AGENT_STORE": "True",
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "node[07-09],login", "SLURM_JOB_ID": "123456",
}  # fmt: skip
MPI = {
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}  # fmt: skip

HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (TORCHRUN, Place(3, 4, 1, 2, "a", 7, False, "torchrun")),
        # Kubernetes' PyTorchJob: one process a pod, and nobody but the first rank serves the store.
        (
            {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"},
            Place(0, 2, 0, None, "job-master-0", 23456, True, "RANK"),
        ),
        (SLURM, Place(2, 4, 0, None, "node07", 23456, True, "srun")),
        ({**SLURM, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "5"}, Place(2, 4, 0, None, "10.0.0.1", 5, True, "srun")),
        (MPI, Place(1, 2, 1, 2, "127.0.0.1", 29500, True, "mpirun")),
        (HYDRA, Place(1, 2, 1, 2, "127.0.0.1", 29500, True, "mpirun")),
        ({**SLURM, **HYDRA}, Place(1, 2, 1, 2, "127.0.0.1", 29500, True, "mpirun")),
        # srun with PMI 2 numbers its tasks by it too.
        ({**SLURM, "PMI_RANK": "2", "PMI_SIZE": "4"}, Place(2, 4, 0, None, "node07", 23456, True, "srun")),
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "a"}, None),
        # A batch script of Slurm is no task of a step, whatever numbers it has.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
        # mpirun within a job of Slurm: its processes have the numbers of the daemon that srun has started.
        ({**SLURM, **MPI}, Place(1, 2, 1, 2, "127.0.0.1", 29500, True, "mpirun")),
        # One process of torchrun may be what is left of several.
        ({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}, Place(0, 1, 1, 2, "a", 7, False, "torchrun")),
    ],
)
def test_a_launcher_says_which_process_this_is(environment: dict[str, str], place: Place | None) -> None:
    assert place_of(environment) == place


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR, where the ranks meet, is not"),
        ({**TORCHRUN, "RANK": "four"}, "holds no numbers where it should: .*'four'"),
        ({**TORCHRUN, "RANK": "4"}, "expected a rank below 4, got 4"),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "add -x MASTER_ADDR=HOST"),
        ({**HYDRA, "MPI_LOCALNRANKS": "1"}, "add -genv MASTER_ADDR HOST"),
        ({"PMI_RANK": "0", "MPI_LOCALNRANKS": "1"}, "PMI_RANK is set, but PMI_SIZE, how many ranks there are, is not"),
        ({"OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_RANK is set, but OMPI_COMM_WORLD_SIZE, how many"),
    ],
)
def test_an_environment_that_says_too_little_is_refused(environment: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        place_of(environment)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node7", "node7"),
        ("a,b", "a"),
        ("n[3,5-9]", "n3"),
        ("n[03-05]-ib,m", "n03-ib"),
        ("a,n[1-2]", "a"),
        ("r[1-2]n[05-06]", "r1n05"),
    ],
)
def test_the_first_host_of_a_list_of_slurm(hosts: str, first: str) -> None:
    assert first_host(hosts) == first


def test_a_list_without_a_first_host_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SLURM_STEP_NODELIST: expected names of hosts, got ',a'; set MASTER_ADDR"):
        first_host(",a")
