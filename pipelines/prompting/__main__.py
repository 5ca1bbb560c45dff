"""The process in which a person's language models live: ``python -m pipelines.prompting <file descriptor>``.

One order at a time comes over the pipe (``pipelines.prompting.exchange``); the models that orders name stay loaded. It ends when
nobody is at the other end any more.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.contract import StudioError
from pipelines.prompting.exchange import Answer, Loaded, Order, Refused, Translate, Translated, Write
from pipelines.prompting.instruction_model import InstructionModel
from pipelines.prompting.translation_model import TranslationModel


class Desk:
    """Carries out orders with the models that they name."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._writers: dict[str, InstructionModel] = {}
        self._translators: dict[str, TranslationModel] = {}

    def serve(self) -> None:
        """Answer until the other end closes."""
        threading.Thread(target=self._read, daemon=True, name="read").start()
        while True:
            order = self._orders.get()
            try:
                answer = self._answer(order)
            except StudioError as error:
                answer = Refused(type(error), error.message, error.field)
            self._say(answer)

    def _read(self) -> None:
        while True:
            try:
                self._orders.put(self._pipe.recv())
            except (EOFError, OSError):
                os._exit(0)  # the main thread may be deep inside a kernel; nothing here needs a farewell

    def _say(self, answer: Answer) -> None:
        try:
            self._pipe.send(answer)
        except OSError:
            os._exit(0)

    def _answer(self, order: Order) -> Answer:
        match order:
            case Write(name, device):
                if name not in self._writers:
                    self._writers[name] = InstructionModel.load(name, device)
                self._say(Loaded())
                return self._writers[name].write(order.system, order.user, tokens=order.tokens, seconds=order.seconds)
            case Translate(name, device):
                if name not in self._translators:
                    self._translators[name] = TranslationModel.load(name, device)
                self._say(Loaded())
                found = self._translators[name].translate(order.sentences, order.language, seconds=order.seconds)
                return Translated(found)


def main() -> None:
    """Ctrl-C is the studio's business; when memory runs out, this process goes and the studio stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
    Desk(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
