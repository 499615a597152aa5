"""Fork processes, kill them, start them again, and account for each mail: for kill sweeps."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import signal
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from newsletter.domain.mail import DeliveryState
from tests.fakes.sendgrid import Fault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


LOOKS_UNTIL_HUNG = 12_000


class ForkServer:
    """A process without threads that has all libraries loaded: it forks a child for each order.

    `run` gets the order (anything that JSON holds) and returns the child's exit code.
    """

    def __init__(self, run: Callable[[Any], int | None], loaded: Iterable[str] = ()) -> None:
        for name in loaded:
            importlib.import_module(name)
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._orders)
            os.close(self._answers)
            # The end of the pipe ends this process: Ctrl-C must not end it before its children.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                _serve(run, orders, answers)
            finally:
                os._exit(1)
        self._write = os.fdopen(self._orders, "w", buffering=1)
        self._read = os.fdopen(self._answers)

    def begin(self, order: Any) -> int:
        """The process id of a new child."""
        return int(self._ask("begin", order))

    def status(self, pid: int) -> int | None:
        """The exit code, negative for a signal; None while the child runs."""
        said = self._ask("status", pid)
        return None if said == "alive" else int(said)

    def wait(self, pid: int) -> int:
        """The exit code, negative for a signal, when the child has ended."""
        while (found := self.status(pid)) is None:
            time.sleep(0.002)
        return found

    def kill(self, pid: int) -> bool:
        """End a child by SIGKILL, and wait for its end; False where it had ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return self.wait(pid) == -signal.SIGKILL

    def close(self) -> None:
        self._write.close()
        self._read.close()

    def _ask(self, verb: str, what: Any) -> str:
        self._write.write(json.dumps([verb, what]) + "\n")
        return self._read.readline().strip()


def _serve(run: Callable[[Any], int | None], orders: int, answers: int) -> NoReturn:
    begun: set[int] = set()
    ended: dict[int, int] = {}
    with os.fdopen(orders) as read, os.fdopen(answers, "w", buffering=1) as write:
        for line in read:
            verb, what = json.loads(line)
            if verb == "begin":
                answer: Any = _fork(run, what)
                begun.add(answer)
                # The number of a child that ended may be given again.
                ended.pop(answer, None)
            else:
                if what not in ended:
                    pid, raw = os.waitpid(what, os.WNOHANG)
                    if pid:
                        ended[pid] = os.waitstatus_to_exitcode(raw)
                answer = ended.get(what, "alive")
            write.write(f"{answer}\n")
    for pid in begun - ended.keys():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _fork(run: Callable[[Any], int | None], order: Any) -> int:
    if pid := os.fork():
        return pid
    # A process group of its own: Ctrl-C in the terminal ends the sweep, not a child.
    os.setpgid(0, 0)
    status = 1
    try:
        status = run(order) or 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join(5)
        os._exit(status)


class SimulationError(Exception):
    """The service did what it must never do; the message names it."""


class ControlledProcess:
    """A forked process that takes orders one by one; it can be killed, suspended and terminated.

    `run` gets two descriptors: of the orders, a JSON line each, and for an answer line each.
    """

    def __init__(self, run: Callable[[int, int], None], log: Path) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders)
            os.close(self._answers)
            _run_logged(run, orders, answers, log)
        os.close(orders)
        os.close(answers)

    def order(self, *order: object) -> None:
        with suppress(BrokenPipeError):
            os.write(self._orders, (json.dumps(order) + "\n").encode())

    def wait_for_answer(self) -> str:
        """Wait until the order is done: "done", "stopped" by a signal, or "ended"."""
        # Looks are counted, not seconds: while the whole machine is paused no process hangs.
        for _ in range(LOOKS_UNTIL_HUNG):
            if select.select([self._answers], [], [], 0.01)[0]:
                if os.read(self._answers, 64):
                    return "done"
                time.sleep(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return "stopped"
            if pid:
                return self._ended(status)
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(1)
        message = "the process hangs; its log shows where"
        raise SimulationError(message)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._ended(os.waitpid(self.pid, 0)[1])

    def terminate(self) -> None:
        """Send SIGTERM, whatever the process does, and wait for its end."""
        os.kill(self.pid, signal.SIGTERM)
        os.close(self._orders)
        self._orders = -1
        while (answer := self.wait_for_answer()) != "ended":
            if answer == "stopped":
                self.resume()

    def suspend(self) -> bool:
        """False where it has ended already."""
        os.kill(self.pid, signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._ended(status)
        return os.WIFSTOPPED(status)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _ended(self, status: int) -> str:
        self.status = os.waitstatus_to_exitcode(status)
        for handle in {self._orders, self._answers} - {-1}:
            os.close(handle)
        # A process that is terminated before it has set its handlers ends as any process does.
        if self.status not in {0, -signal.SIGKILL, -signal.SIGTERM}:
            message = f"the process ended by itself with status {self.status}"
            raise SimulationError(message)
        return "ended"


def _run_logged(run: Callable[[int, int], None], orders: int, answers: int, log: Path) -> NoReturn:
    status = 1
    try:
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
        faulthandler.register(signal.SIGUSR1)
        run(orders, answers)
        status = 0
    except BaseException:  # noqa: BLE001 - what an interpreter does at its end
        traceback.print_exc()
    finally:
        os._exit(status)


def kill_at_each_step(
    server: ForkServer, order: dict[str, Any], steps: Iterable[str], times: Sequence[int]
) -> int:
    """One child for each step and number of times; how many were killed there."""
    begun = ({**order, "step": step, "times": number} for step in steps for number in times)
    return sum(server.wait(server.begin(one)) == -signal.SIGKILL for one in begun)


@dataclass(frozen=True)
class RandomKills:
    """So many kills of `together` children, each after a random pause (seconds)."""

    kills: int
    pause: tuple[float, float]
    together: int = 1

    def run(self, server: ForkServer, order: dict[str, Any], dice: random.Random) -> int:
        killed = 0
        for _ in range(self.kills):
            if killed >= self.kills:
                break
            children = [server.begin(order) for _ in range(self.together)]
            for child in children:
                time.sleep(dice.uniform(*self.pause))
                killed += server.kill(child)
        return killed


@dataclass
class LostAnswers:
    """Ends some connections of a stand-in before its answer; half of the mails were taken."""

    dice: random.Random
    percent: float
    taken: list[bool] = field(default_factory=list)

    def __call__(self, _payload: object) -> Fault | None:
        if self.dice.random() * 100 >= self.percent:
            return None
        self.taken.append(self.dice.random() < 0.5)
        return Fault(act="reset", accepts=self.taken[-1])


def account(rows: Mapping[str, DeliveryState], mailed: Iterable[str]) -> dict[str, Any]:
    """What the database says of each address beside what the stand-in was given."""
    states, taken = Counter(rows.values()), Counter(mailed)
    known = {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
    return {
        "deliveries": len(rows),
        "states": {state.value: number for state, number in sorted(states.items())},
        "mailed twice": sum(n > 1 for n in taken.values()),
        "accepted and never mailed": sum(
            state is DeliveryState.ACCEPTED and not taken[email] for email, state in rows.items()
        ),
        "mailed and neither accepted nor unknown": sum(rows[email] not in known for email in taken),
    }


def broken_promises(figures: Mapping[str, Any], deliveries: int) -> dict[str, bool]:
    """What must hold of every kill sweep; true where it is broken."""
    states = figures["states"]
    return {
        "a delivery is not accounted for": sum(states.values()) != deliveries,
        "a delivery is left pending or sending": bool({"pending", "sending"} & states.keys()),
        "an address was mailed twice": figures["mailed twice"] > 0,
        "a delivery is called accepted that was not": figures["accepted and never mailed"] > 0,
        "a mail went out that is not recorded": figures["mailed and neither accepted nor unknown"]
        > 0,
        "a process failed": figures["ended"] != 0,
    }
