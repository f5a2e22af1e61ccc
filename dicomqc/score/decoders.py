"""A few decoder processes, each on a thread of its own, so that pixels are made while the model works on other pixels."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, Self

from dicomqc.core.cine import Failure
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.decoder import MEMORY_BYTES, SECONDS, DecoderProcess


class Decoders:
    """`count` decoder processes. Closing kills them and forgets what was not begun."""

    def __init__(
        self,
        spec: FrameSpec,
        *,
        short: Literal["refuse", "pad"] = "refuse",
        count: int = 1,
        memory_bytes: int = MEMORY_BYTES,
        seconds: float = SECONDS,
    ) -> None:
        self.count = count
        self._all = [DecoderProcess(spec, short=short, memory_bytes=memory_bytes, seconds=seconds) for _ in range(count)]
        self._free: SimpleQueue[DecoderProcess] = SimpleQueue()
        for decoder in self._all:
            self._free.put(decoder)
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="decoder")

    def start(self) -> None:
        """Start every process now, so that the first cine need not wait. Raises TransientError."""
        for decoder in self._all:
            decoder.start()

    def submit(self, path: Path, digest: str | None) -> Future[Sampled | Failure]:
        """Sample one cine as soon as a decoder is free; see `DecoderProcess.sample`."""
        return self._threads.submit(self._sample, path, digest)

    def _sample(self, path: Path, digest: str | None) -> Sampled | Failure:
        decoder = self._free.get()
        try:
            return decoder.sample(path, digest)
        finally:
            self._free.put(decoder)

    def close(self) -> None:
        """End every process and thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in self._all:
            decoder.kill()
        self._threads.shutdown(wait=True)
        for decoder in self._all:
            decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
