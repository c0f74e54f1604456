"""What is measured: one file for each job, or for the same job in several phases."""

from benchmarks.jobs import (
    compare,
    differences,
    publish,
    restore,
    save,
    start,
    switch,
    sync,
    sync_again,
    write,
    write_csv,
)

ALL = (
    sync.JOB,
    sync_again.JOB,
    compare.JOB,
    differences.JOB,
    publish.JOB,
    restore.JOB,
    *write.JOBS,
    *write_csv.JOBS,
    *save.JOBS,
    switch.JOB,
    *start.JOBS,
)
JOBS = {job.name: job for job in ALL}
