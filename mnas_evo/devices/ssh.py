"""A device behind ssh: pushes the agent and the models, and goes on where it was when the connection breaks."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mnas_evo.devices.agent_process import AgentProcess, agent_options
from mnas_evo.devices.ssh_connection import SshConnection
from mnas_evo.devices.ssh_folder import SshFolder
from mnas_evo.errors import DeviceError, DeviceGone
from mnas_evo.latency.runs import DeviceFacts, Plan, Run

WAITS_SECONDS = (1.0, 5.0, 20.0, 60.0, 120.0)  # together longer than a small board takes to start anew


class SshDevice:
    """A machine that the system's ssh reaches without a password, with Python 3.8+, numpy, the runtime and tar.

    Nothing is started before it is used. `waits_seconds` are the pauses before each try to reach it again.

    Raises:
        UnknownTarget: a host, user, port or Python that cannot be one.
    """

    def __init__(
        self,
        host: str,
        *,
        user: str | None = None,
        port: int | None = None,
        runtime: str = "onnxruntime",
        threads: int = 1,
        precision: str = "fp32",
        provider: str = "",
        config: Path | None = None,
        python: str = "python3",
        keep: bool = False,
        waits_seconds: Sequence[float] = WAITS_SECONDS,
    ) -> None:
        self._connection = SshConnection(host, user=user, port=port, config=config)
        self._folder = SshFolder(self._connection, python=python, keep=keep)
        self._options = agent_options(runtime, threads, precision, provider)
        self._waits_seconds = tuple(waits_seconds)
        self._agent: AgentProcess | None = None
        self._facts: DeviceFacts | None = None

    def facts(self) -> DeviceFacts:
        """What the agent said of its device; connects on first use.

        Raises:
            DeviceError: it cannot be reached, lets nobody in, or lacks what is needed; the message says what to do.
        """
        if self._facts is None:
            self._ready()
        assert self._facts is not None
        return self._facts

    def run(self, plan: Plan) -> Iterator[Run]:
        """Runs a plan and gives each run as it comes; a broken connection is made anew and the plan taken up again.

        Raises:
            DeviceGone: it could not be reached again in all the tries.
            DeviceError: it answers wrongly, or another device answers after a break.
        """
        self.facts()
        done, tries = 0, 0
        while True:
            try:
                for run in self._visit(replace(plan, visits=plan.visits[done:])):
                    done, tries = done + 1, 0
                    yield run
                return
            except DeviceGone as lost:
                self._let_go()
                if done == len(plan.visits):
                    return
                if tries == len(self._waits_seconds):
                    raise DeviceGone(self._given_up(done, plan, lost)) from lost
            time.sleep(self._waits_seconds[tries])
            tries += 1

    def close(self) -> None:
        """Ends the agent, removes what lies on the device as far as it can be reached, and ends the connection."""
        with suppress(DeviceError):
            self._folder.remove()
        self._let_go()
        self._connection.close()
        self._facts = None

    def _visit(self, plan: Plan) -> Iterator[Run]:
        """A plan over the connection as it is, or a new one."""
        agent = self._ready()
        self._folder.push(plan.folder)
        try:
            yield from agent.run(plan)
        except DeviceGone:
            raise
        except BaseException:  # the caller turned away, or the agent failed: what it still says is no other plan's
            if self._agent is agent:
                with suppress(DeviceError):
                    self._folder.end_agent()
                self._let_agent_go()
            raise

    def _ready(self) -> AgentProcess:
        """The agent; connects and starts it where it is not there."""
        if self._agent is None:
            self._connection.open()
            self._folder.prepare()
            command = self._folder.agent_command(*self._options)
            self._agent = AgentProcess(command, folder_there=self._folder.place_of)
            try:
                facts = self._greet(self._agent)
            except BaseException:
                self._let_agent_go()
                raise
            self._facts = self._facts or facts
        return self._agent

    def _greet(self, agent: AgentProcess) -> DeviceFacts:
        """The agent's facts, which are those that it had before."""
        name = self._connection.name
        try:
            facts = agent.facts()
        except DeviceGone:
            raise
        except DeviceError as error:
            mend = f". Install it there: {self._connection.by_hand}" if "is not installed" in str(error) else ""
            raise DeviceError(f"{name}: {error}{mend}") from error
        differences = [] if self._facts is None else self._facts.differences(facts)
        if differences:
            raise DeviceError(
                f"{name} is another device than before its connection broke: {'; '.join(differences)}. "
                "What it measured is kept; see what has changed there, then run the command again"
            )
        return facts

    def _let_agent_go(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _let_go(self) -> None:
        """Ends what is left of a connection here."""
        self._let_agent_go()
        self._connection.hang_up()

    def _given_up(self, done: int, plan: Plan, lost: DeviceGone) -> str:
        return (
            f"{self._connection.name} went away after {done} of {len(plan.visits)} visits, which are kept, and "
            f"{len(self._waits_seconds)} tries to go on failed. The last: {lost}"
        )
