# SPDX-License-Identifier: MIT
"""From a job file to the sub-jobs of its nodes.

A scheduler needs only these to submit a VM group as sub-jobs:

1. `load_document` reads the job file.
2. `parse_job` checks it.
3. `expand` splits it into sub-jobs.
4. `to_document` turns each sub-job into JSON data.

Only the first one has to do with files; the others are pure.
"""

from lava_vmgroup.job.expansion import expand, to_document
from lava_vmgroup.job.load import load_document
from lava_vmgroup.job.model import Job, NodeJob, VMGroup
from lava_vmgroup.job.parse import parse_job

__all__ = ["Job", "NodeJob", "VMGroup", "expand", "load_document", "parse_job", "to_document"]
