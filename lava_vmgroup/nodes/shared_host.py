# SPDX-License-Identifier: MIT
"""The group's host, as the nodes of one process reach it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import VMGroupError
from lava_vmgroup.connections.ssh_keys import Identity, JobKey
from lava_vmgroup.results.model import Upload
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.vm_host import VMHost

_DEAD_S = 2.0
"""Seconds for a system whose console showed a fatal fault; not scaled by ``timeout_scale``."""


class SharedHost:
    """The host, its keys, and its loss; any thread may use it."""

    def __init__(self, group: str, questions: Sequence[str] = ()) -> None:
        """Take the group's unique name, and the questions of `lava_vmgroup.vms.facts`."""
        self.key = JobKey()
        """The key with which this process logs in, unless the lab has one for the host."""
        self.lab_key: Identity | None = None
        """The key by which the host, when it is run here, is reached; its VMs here use it too."""
        self.loss: VMGroupError | None = None
        """The reason why the host is lost; its supervisor then removes the job from it."""
        self.has_died: Callable[[], bool] = lambda: False
        """Returns whether the host's console showed that its system died; False if no console of it
        is read here."""
        self._group = group
        self._questions = questions
        self._host: VMHost | None = None
        self._lock = threading.Lock()

    def at(self, offer: Offer) -> VMHost:
        """Return the host that made an offer, one object for all VMs of this process."""
        with self._lock:
            if self._host is None or self._host.offer != offer:
                key = self.lab_key or self.key
                self._host = VMHost(offer, key, self._group, self._questions)
            return self._host

    def removal_deadline(self, limit: Deadline) -> Deadline:
        """Return the deadline for removing something from the host within `limit`.

        Raises the host's loss, if it is lost.
        """
        if self.loss is not None:
            raise self.loss
        if self.has_died():
            return limit.exactly("cleaning up a host whose system has died", _DEAD_S)
        return limit

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """The files that were put into the host's image store."""
        return self._host.store.uploads() if self._host is not None else ()
