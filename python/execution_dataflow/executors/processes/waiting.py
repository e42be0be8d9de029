"""Tasks that no worker process has yet, in the order in which they are sent."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from execution_dataflow.executors.processes.task import Task

__all__ = ["WaitingTasks"]


class WaitingTasks:
    """Tasks by their place in the order that keeps few values alive (rule D4), and those of one place as they came.

    The items of a map are all of one place: a queue for each place spares them a heap of their own.
    """

    def __init__(self) -> None:
        self._places: list[int] = []
        self._queues: dict[int, deque[Task]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, task: Task) -> None:
        """Put a task behind those of its place."""
        place = task.run.place_of(task.node)
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
            heapq.heappush(self._places, place)
        queue.append(task)
        self._count += 1

    def first(self) -> Task:
        """Return the task that is sent next."""
        return self._queues[self._places[0]][0]

    def take_first(self) -> None:
        """Remove the task that is sent next."""
        queue = self._queues[self._places[0]]
        queue.popleft()
        self._count -= 1
        if not queue:
            del self._queues[heapq.heappop(self._places)]

    def take_all(self) -> list[Task]:
        """Remove and return all tasks, in order."""
        return self.take_if(lambda _: True)

    def take_if(self, is_meant: Callable[[Task], bool]) -> list[Task]:
        """Remove and return some tasks, in order."""
        tasks = [task for place in sorted(self._queues) for task in self._queues[place]]
        self._places.clear()
        self._queues.clear()
        self._count = 0
        taken = []
        for task in tasks:
            if is_meant(task):
                taken.append(task)
            else:
                self.add(task)
        return taken
