"""The driver of a Ray cluster whose workers do as a job's parameters say."""

from app.workers import ray_driver
from app.workers.ray_worker import RayWorker
from tests.support.scripted_worker import ScriptedWorker
from tests.support.waiting import script


class ScriptedRayWorker(RayWorker):
    """An actor that starts a :class:`ScriptedWorker`."""

    command = script(ScriptedWorker)


if __name__ == "__main__":
    ray_driver.main(ScriptedRayWorker)
