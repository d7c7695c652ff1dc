//! What the fake fleet's orders do to its world, and what health it shows.

use quaymaster_proto::FileDigest;
use quaymaster_proto::act::{EnsureStopped, Promote, Recreate, TakeDown};
use quaymaster_proto::floor::LowerFloor;

use super::*;

impl FakeNode {
    pub(super) fn new(facts: NodeFacts) -> Self {
        let mut kept = Kept::default();
        kept.floor.clone_from(&facts.floor);
        Self {
            found: facts.clone(),
            facts,
            staged: BTreeMap::new(),
            kept,
            recreated: BTreeMap::new(),
            fresh: 0,
        }
    }

    pub(super) fn assert_as_found(&mut self) {
        let name = self.facts.node.clone();
        assert_eq!(self.facts.config, self.found.config, "{name}: its config.yaml");
        assert_eq!(self.kept.floor, self.found.floor, "{name}: its floor");
        assert_eq!(self.kept.lease, None, "{name}: its lease");
        assert!(self.staged.is_empty(), "{name}: what is left staged");
        for of in &self.facts.components {
            let alive = of.containers().filter(|found| found.state.status.is_alive()).count();
            assert_eq!(alive, 1, "{name}: its {} containers", of.component);
            let policies = of.containers().filter(|found| {
                found.state.status.is_alive() && found.state.restart_policy != RestartPolicy::No
            });
            assert_eq!(policies.count(), 1, "{name}: the restart policy of its {}", of.component);
        }
    }

    pub(super) fn described(&self) -> NodeFacts {
        let Kept { lease, floor, .. } = &self.kept;
        let (lease, floor, ledger) = (lease.clone(), floor.clone(), self.kept.head());
        NodeFacts { lease, floor, ledger, ..self.facts.clone() }
    }

    fn put(&mut self, to: &FileDigest) -> Result<(), Refusal> {
        let ConfigFacts::Readable(config) = &mut self.facts.config else {
            return Err(Refusal::new(Reason::Config, "unreadable"));
        };
        config.sha256 = to.clone();
        Ok(())
    }

    /// Containers that were staged and never started.
    fn remove_staged(&mut self, component: Component) -> Result<(), Refusal> {
        let Some(staged) = self.staged.get(&component) else { return Ok(()) };
        let id = staged.id.clone();
        if self.find(&id).is_some_and(|found| found.state.ever_started()) {
            return Err(Refusal::new(Reason::AlreadyRan, "the staged container has run"));
        }
        self.of(component).others.retain(|other| other.state.id != id);
        self.staged.remove(&component);
        Ok(())
    }

    pub(super) fn running(&mut self) -> &mut ContainerFacts {
        self.facts.components[0].container.as_mut().unwrap()
    }

    pub(super) fn of(&mut self, component: Component) -> &mut ComponentFacts {
        self.facts.components.iter_mut().find(|facts| facts.component == component).unwrap()
    }

    pub(super) fn find(&mut self, id: &ContainerId) -> Option<&mut ContainerFacts> {
        let components = self.facts.components.iter_mut();
        let mut all = components.flat_map(|of| of.container.iter_mut().chain(&mut of.others));
        all.find(|found| found.state.id == *id)
    }

    pub(super) fn is_any_alive(&self) -> bool {
        let quays = self.facts.components.iter().filter(|facts| facts.component.migrates());
        quays.flat_map(|facts| facts.containers()).any(|found| found.state.status.is_alive())
    }
}

impl World {
    pub(super) fn node(&mut self, node: &NodeName) -> &mut FakeNode {
        self.nodes.get_mut(node).unwrap()
    }

    pub(super) fn is_migrated(&self) -> bool {
        self.migration_began.is_some_and(|began| began.elapsed() >= MIGRATION)
            && self.first_exits_with.is_none()
    }

    pub(super) fn revision(&self) -> String {
        if self.is_migrated() { self.target.clone() } else { self.database.revision.clone() }
    }

    pub(super) fn carry_out(
        &mut self,
        node: &NodeName,
        order: &Order,
        at: Timestamp,
    ) -> Result<ActOutcome, Refusal> {
        let outcome = |how, container: Option<ContainerState>| ActOutcome {
            how,
            container,
            config: None,
            engine_time: Some(at),
        };
        match order {
            Order::StageContainer(stage) => Ok(self.stage(node, stage, at)),
            Order::StageConfig(_) => Ok(outcome(How::Changed, None)),
            Order::EnsureStopped(stop) => {
                let (how, state) = self.stop(node, stop);
                Ok(outcome(how, Some(state)))
            }
            Order::PutConfig(put) => {
                if self.nodes.values().any(FakeNode::is_any_alive) {
                    self.tally.violations.push(format!("config of {node} changed under a Quay"));
                }
                self.node(node).put(&put.to)?;
                Ok(outcome(How::Changed, None))
            }
            Order::StartMigrating(start) => {
                self.start(node, (Component::Quay, &start.container), true, at)
            }
            Order::EnsureRunning(start) => {
                let ground = start.ground.as_ref();
                if ground.is_some_and(|of| !of.database.revisions.contains(&self.revision())) {
                    return Err(Refusal::new(Reason::Database, "not the target revision"));
                }
                if start.component != Component::Quay {
                    self.note("start", start.component, node);
                }
                self.start(node, (start.component, &start.container), false, at)
            }
            Order::Promote(promote) => {
                let state = self.promote(node, promote);
                Ok(outcome(How::Changed, Some(state)))
            }
            Order::SetFloor(set) => {
                self.node(node).kept.floor = Some(set.to.clone());
                Ok(outcome(How::Changed, None))
            }
            Order::LowerFloor(lower) => {
                self.lower(node, lower)?;
                Ok(outcome(How::Changed, None))
            }
            Order::RestoreConfig(restore) => {
                self.node(node).put(&restore.to)?;
                Ok(outcome(How::Changed, None))
            }
            Order::RemoveStagedConfig(_) => Ok(outcome(How::Changed, None)),
            Order::RemoveStaged(remove) => {
                self.node(node).remove_staged(remove.component)?;
                Ok(outcome(How::Changed, None))
            }
            Order::Recreate(recreate) => Ok(self.recreate(node, recreate, at)),
            Order::TakeDown(down) => Ok(self.take_down(node, down, at)),
        }
    }

    fn lower(&mut self, node: &NodeName, lower: &LowerFloor) -> Result<(), Refusal> {
        let proof = lower.database.as_ref();
        if proof.is_some_and(|of| !of.revisions.contains(&self.revision())) {
            return Err(Refusal::new(Reason::Database, "not the found revision"));
        }
        self.node(node).kept.floor.clone_from(&lower.to);
        Ok(())
    }

    /// What never started is gone; what has run is kept, and ended.
    fn take_down(&mut self, node: &NodeName, down: &TakeDown, at: Timestamp) -> ActOutcome {
        self.note("take down", down.component, node);
        let fake = self.node(node);
        let outcome = |container| ActOutcome {
            how: How::Changed,
            container,
            config: None,
            engine_time: Some(at),
        };
        let staged = fake.staged.remove(&down.component).map(|staged| staged.id);
        let Some(id) = down.container.clone().or(staged) else { return outcome(None) };
        let Some(found) = fake.find(&id) else { return outcome(None) };
        if !found.state.ever_started() {
            fake.of(down.component).others.retain(|other| other.state.id != id);
            return outcome(None);
        }
        found.state.status = ContainerStatus::Exited;
        found.state.restart_policy = RestartPolicy::No;
        outcome(Some(found.state.clone()))
    }

    /// The database is again what the survey found.
    pub(super) fn restore(&mut self) {
        if self.nodes.values().any(FakeNode::is_any_alive) {
            self.tally.violations.push("the database is replaced under a Quay".to_owned());
        }
        (self.migration_began, self.first_exits_with) = (None, None);
        self.tally.restores += 1;
    }

    fn promote(&mut self, node: &NodeName, promote: &Promote) -> ContainerState {
        self.note("promote", promote.component, node);
        if promote.component == Component::Quay {
            self.tally.promoted.insert(node.clone());
        }
        let found = self.node(node).find(&promote.container).unwrap();
        found.state.restart_policy = promote.restart_policy;
        found.state.clone()
    }

    fn stop(&mut self, node: &NodeName, stop: &EnsureStopped) -> (How, ContainerState) {
        let found = self.node(node).find(&stop.container).unwrap();
        let how = if found.state.status.is_alive() { How::Changed } else { How::Already };
        found.state.status = ContainerStatus::Exited;
        found.state.restart_policy = RestartPolicy::No;
        let state = found.state.clone();
        self.note("stop", stop.component, node);
        (how, state)
    }

    /// A fresh container of the old one, unless that one was never stopped.
    fn recreate(&mut self, node: &NodeName, order: &Recreate, at: Timestamp) -> ActOutcome {
        let fake = self.node(node);
        if let Some(id) = fake.recreated.get(&(order.component, order.attempt)).cloned() {
            let state = fake.find(&id).unwrap().state.clone();
            let how = How::Already;
            return ActOutcome { how, container: Some(state), config: None, engine_time: Some(at) };
        }
        let mut state = fake.find(&order.container).unwrap().state.clone();
        let how = if state.status.is_alive() { How::Already } else { How::Changed };
        if how == How::Changed {
            fake.fresh += 1;
            let number = fake.fresh * 10 + order.component as u8;
            let old = fake.find(&order.container).unwrap().clone();
            state.id = fixture::hex('6', number).parse().unwrap();
            state.status = ContainerStatus::Created;
            state.started_at = None;
            fake.recreated.insert((order.component, order.attempt), state.id.clone());
            let fresh = ContainerFacts { state: state.clone(), ..old };
            fake.of(order.component).others.push(fresh);
        }
        ActOutcome { how, container: Some(state), config: None, engine_time: Some(at) }
    }

    pub(super) fn note(&mut self, what: &str, component: Component, node: &NodeName) {
        let line = format!("{what} {component} {node}");
        if component != Component::Quay && !self.tally.companions.contains(&line) {
            self.tally.companions.push(line);
        }
    }

    pub(super) fn stage(
        &mut self,
        node: &NodeName,
        order: &StageContainer,
        at: Timestamp,
    ) -> ActOutcome {
        let fake = self.node(node);
        let outcome = |how, state| ActOutcome {
            how,
            container: Some(state),
            config: None,
            engine_time: Some(at),
        };
        let component = order.component;
        if let Some(staged) = fake.staged.get(&component)
            && staged.attempt == order.attempt
        {
            let id = staged.id.clone();
            return outcome(How::Already, fake.find(&id).unwrap().state.clone());
        }
        // Whether it is the planned one is an agent's question.
        let mut next = match fake.find(&order.container) {
            Some(found) => found.clone(),
            None => fake.of(component).container.clone().unwrap(),
        };
        let number: u8 = next.state.id.as_str()[..2].parse().unwrap();
        let digit = if component == Component::Quay { '7' } else { '8' };
        let number = if component == Component::Quay { number } else { number + component as u8 };
        let number = number + 20 * (order.attempt as u8 - 1);
        next.state.id = fixture::hex(digit, number).parse().unwrap();
        next.state.name = format!("{component}.quaymaster-next");
        next.state.status = ContainerStatus::Created;
        next.state.started_at = None;
        next.state.restart_policy = RestartPolicy::No;
        next.state.image = order.generation.image.clone();
        fake.staged.insert(
            component,
            Staged { id: next.state.id.clone(), attempt: order.attempt, started: None },
        );
        fake.of(component).others.push(next.clone());
        outcome(How::Changed, next.state)
    }

    pub(super) fn start(
        &mut self,
        node: &NodeName,
        (component, container): (Component, &ContainerId),
        migrates: bool,
        at: Timestamp,
    ) -> Result<ActOutcome, Refusal> {
        let ever_started = self.node(node).find(container).unwrap().state.ever_started();
        let how = if ever_started { How::Already } else { How::Changed };
        let is_staged =
            self.node(node).staged.get(&component).is_some_and(|staged| staged.id == *container);
        if !ever_started && !is_staged {
            self.return_old(node, (component, container), at);
        } else if !ever_started {
            if component.migrates() {
                self.watch_start(node, migrates);
            }
            if component == Component::Quay {
                self.tally.started.push(node.clone());
            }
            if let Some(staged) = self.node(node).staged.get_mut(&component) {
                staged.started = Some(Instant::now());
            }
            let state = &mut self.node(node).find(container).unwrap().state;
            state.status = ContainerStatus::Running;
            state.started_at = Some(at);
        }
        let state = self.node(node).find(container).unwrap().state.clone();
        Ok(ActOutcome { how, container: Some(state), config: None, engine_time: Some(at) })
    }

    /// What the window found runs again: nothing new may ever have started.
    fn return_old(
        &mut self,
        node: &NodeName,
        (component, container): (Component, &ContainerId),
        at: Timestamp,
    ) {
        if self.migration_began.is_some() && self.first_exits_with.is_none() {
            self.tally.violations.push(format!("{node} goes back behind a migration"));
        }
        if component == Component::Quay {
            self.tally.returned.insert(node.clone());
        }
        let dies = component == Component::Quay && self.dying.remove(node);
        let state = &mut self.node(node).find(container).unwrap().state;
        state.status = if dies { ContainerStatus::Exited } else { ContainerStatus::Running };
        state.started_at = Some(at);
    }

    /// The fake's own witness.
    pub(super) fn watch_start(&mut self, node: &NodeName, migrates: bool) {
        let is_anyone_alive = self.nodes.values().any(FakeNode::is_any_alive);
        if migrates {
            self.tally.migrating_starts += 1;
            if is_anyone_alive {
                self.tally.violations.push(format!("{node} migrates while a Quay lives"));
            }
            if self.migration_began.is_none() {
                self.migration_began = Some(Instant::now());
            }
        } else if !self.is_migrated() {
            self.tally.violations.push(format!("{node} starts before the migration's end"));
        }
        if self.sessions.iter().any(|session| session.application == "psql") {
            self.tally.violations.push(format!("{node} starts beside a foreign session"));
        }
    }

    pub(super) fn report(
        &mut self,
        node: &NodeName,
        question: &HealthQuestion,
        at: Timestamp,
    ) -> HealthReport {
        let (migrated, wanted, code) = (self.is_migrated(), self.wanted, self.first_exits_with);
        let fake = self.node(node);
        let id = question.container.clone().unwrap_or_else(|| fake.running().state.id.clone());
        let started = fake.staged.values().find(|staged| staged.id == id);
        let started = started.and_then(|staged| staged.started);
        let container = fake.find(&id).map(|found| {
            if let (Some(code), Some(_)) = (code, started) {
                found.state.status = ContainerStatus::Exited;
                found.state.exit_code = code;
            }
            found.state.clone()
        });
        let is_staged = fake.staged.values().any(|staged| staged.id == id);
        let is_up =
            !is_staged || started.is_some_and(|started| started.elapsed() >= BOOT) && migrated;
        let is_alive = container.as_ref().is_some_and(|state| state.status.is_alive());
        let verdict = match (is_alive, is_up) {
            (false, _) => HealthVerdict::Down,
            (true, false) => HealthVerdict::Unhealthy,
            (true, true) => HealthVerdict::Healthy,
        };
        HealthReport {
            at,
            container,
            instance: HealthRoute::default(),
            endtoend: HealthRoute::default(),
            verdict,
            effective_mode: (verdict == HealthVerdict::Healthy && is_staged).then_some(wanted),
        }
    }
}
