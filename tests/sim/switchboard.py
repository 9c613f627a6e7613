"""Agents and their connections: who is connected to the store, what is under way, and what arrives.

Laws: a connection has two ends, and each may be gone without the other. What lies under way to an agent arrives also
when the store has died. First rows and what was missed are made a slice at a time, as the runner does it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from store.engine.identity import SCOPES, Caller, Identity
from store.ids import ConnectionId
from store.subscribe.messages import SUBPROTOCOL_MSGPACK
from store.subscribe.missed import LogRead
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions
from tests.sim import interaction as act
from tests.sim.agents import Agent
from tests.sim.interaction import AGENTS
from tests.sim.network import Link
from tests.sim.observation import CutOff, Transmitted
from tests.sim.settings import PATIENCE, PLENTY, SESSIONS

if TYPE_CHECKING:
    from tests.sim.target import Target

ROUNDS_MAX: Final = 300
"""Of a calm: more than anybody needs who reads."""


class Switchboard:
    """All agents of one store."""

    def __init__(self, store: "Target") -> None:
        self._store: Final = store
        self.agents = [Agent(store, number) for number in range(AGENTS)]
        self.links: list[tuple[Agent, Link]] = []
        """Those whose store's end is there."""
        self._connections = 0
        self._reading: LogRead | None = None
        self.acts: Final[dict[type, Callable[[Any], None]]] = {
            act.Ask: lambda what: self.agents[what.agent].ask(what.name, what.args),
            act.Follow: lambda what: self.agents[what.agent].follow(what.query),
            act.Unfollow: lambda what: self.agents[what.agent].unfollow(what.place),
            act.Fetch: lambda what: self.agents[what.agent].fetch(what.query),
            act.Connect: lambda what: self.agents[what.agent].connect(),
            act.Arrive: self._arrive,
            act.Doze: self._doze,
            act.Disconnect: self._disconnect,
            act.Deliver: self._go_on,
            act.Pump: lambda _: self._pump(),
        }

    def open(self) -> None:
        """The store is up."""
        self._reading = None
        self.subscriptions = Subscriptions(self._store.up, options=SESSIONS)
        self._store.planted.subscriptions(self.subscriptions)

    def die(self) -> None:
        """The store is gone. What it transmitted is under way still."""
        for _, link in self.links:
            link.die(0)
        self.links.clear()

    def hang_up(self) -> None:
        """The store has stopped in order."""
        for _, link in self.links:
            link.break_at_store(0)
        self.links.clear()

    def accept(self, agent: Agent) -> Link:
        """A connection to the store, which is up."""
        self._connections += 1
        engine = self._store.up
        name = agent.name

        def closed(code: int) -> None:
            self._store.observe(CutOff(name, code))

        link = Link(name, self._store.clock.wall(), self._transmitted, closed)
        caller = Caller(Identity("sim", name.partition(".")[0], SCOPES), ConnectionId(100 + self._connections), "")
        session = Session(engine, self.subscriptions, caller, SUBPROTOCOL_MSGPACK, link, options=SESSIONS)
        self._store.planted.session(session)
        link.session = session
        self.links.append((agent, link))
        return link

    def _transmitted(self, link: Link, size: int) -> None:
        store, session = self._store, link.session
        assert session is not None
        rests_on = store.up.write_path.last_offset if store.covered is None else store.covered
        waiting = session.held_bytes + link.unsent_bytes()
        store.observe(Transmitted(size, rests_on, store.survives(), waiting, SESSIONS.outbox_bytes_max))

    def _arrive(self, what: act.Arrive) -> None:
        agent = self.agents[what.agent]
        self.forget_old_links()
        if not what.up:
            agent.arrive(what.count)
        for each, link in tuple(self.links):
            if what.up and each is agent:
                link.arrive(what.count)

    def _doze(self, what: act.Doze) -> None:
        self.agents[what.agent].dozes = what.turns

    def _go_on(self, _: act.Deliver) -> None:
        self._deliver_rows()

    def _deliver_rows(self) -> bool:
        """Go on with first rows and what was missed, for a slice; whether there is more to do."""
        deliveries = self.subscriptions.deliveries
        if self._reading is not None:
            self._reading.run()
            deliveries.complete(self._reading)
        wait = deliveries.step()
        self._reading = deliveries.take_request()
        return wait is not None or self._reading is not None

    def _disconnect(self, what: act.Disconnect) -> None:
        agent = self.agents[what.agent]
        if what.end != "agent":
            for each, link in self.links:
                if each is agent:
                    link.break_at_store(what.lost)
        if what.end != "store":
            agent.disconnect()
        self.forget_old_links()

    def forget_old_links(self) -> None:
        """As pings and expiring tokens would."""
        for agent in self.agents:
            agent.grow_old(PATIENCE)
        for agent, link in self.links:
            if link.session is not None and (link.since < self._store.now - PATIENCE or link.name != agent.name):
                link.break_at_store(PLENTY)
        self.links = [(agent, link) for agent, link in self.links if link.session is not None]

    def _pump(self) -> None:
        awake = [agent for agent in self.agents if not agent.dozes]
        for agent in self.agents:
            agent.connect()
            agent.dozes = max(agent.dozes - 1, 0)
        for _ in range(ROUNDS_MAX):
            for _, link in tuple(self.links):
                link.arrive(PLENTY)
            more = self._deliver_rows()
            self._store.commit()
            for agent in awake:
                agent.arrive(PLENTY)
            if not more and not any(link.up or link.down for agent, link in self.links if agent in awake):
                return
