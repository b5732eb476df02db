# SPDX-License-Identifier: MIT
"""From a job file to the sub-jobs of its nodes; pure.

What a scheduler needs to submit a VM group as sub-jobs is here: read a job (`load_document`),
check it (`parse_job`), expand it (`expand`), and write each sub-job down (`to_document`).
"""

from lava_vmgroup.job.expansion import expand, to_document
from lava_vmgroup.job.load import load_document
from lava_vmgroup.job.model import Group, Job, NodeJob
from lava_vmgroup.job.parse import parse_job

__all__ = ["Group", "Job", "NodeJob", "expand", "load_document", "parse_job", "to_document"]
