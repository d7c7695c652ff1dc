//! One look at a component's health: its container, and for a Quay both
//! health routes, asked at its own published port.

use quaymaster_proto::health::{BackfillSample, HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::node::PublishedPort;
use quaymaster_proto::{Component, ContainerId, ContainerStatus, Mode, Refusal};

use crate::config::Probe;
use crate::engine::{Container, Engine};
use crate::node::Node;
use crate::quay::http::{Answer, BACKFILL_LIMIT, HEALTH_LIMIT, MODE_LIMIT, Target};
use crate::quay::mode_probe::{self, Push};
use crate::quay::{health, progress};

/// Ports inside the container at which Quay speaks HTTP: 2.9's and 3's
/// (quay-facts 2.2).
const HTTP_PORTS: [u16; 2] = [80, 8080];

/// The same for HTTPS.
const HTTPS_PORTS: [u16; 2] = [443, 8443];

/// Port inside the container at which Clair says how it is (quay-facts 4.3).
const CLAIR_HEALTH_PORTS: [u16; 1] = [6061];

/// Where a container's Quay may be asked: plain HTTP first, where it is
/// published, and HTTPS where that only redirects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Targets {
    first: Target,
    second: Option<Target>,
    /// Whether it has a mode to show.
    pub(crate) has_mode: bool,
}

impl Targets {
    /// `None` = no port that Quay is known to listen on is published.
    pub(crate) fn of(probe: &Probe, ports: &[PublishedPort]) -> Option<Self> {
        let has_mode = mode_probe::has_mode(ports.iter().map(|port| port.container_port));
        let of = |first, second| Some(Self { first, second, has_mode });
        match probe {
            Probe::At(base) => of(Target::new(base.as_str()), None),
            Probe::Auto => {
                let plain = published("http", &HTTP_PORTS, ports);
                let secure = published("https", &HTTPS_PORTS, ports);
                match (plain, secure) {
                    (Some(first), second) => of(first, second),
                    (None, Some(first)) => of(first, None),
                    (None, None) => None,
                }
            }
        }
    }

    /// From now on HTTPS alone.
    fn turn_to_https(&mut self) -> bool {
        match self.second.take() {
            Some(second) => {
                self.first = second;
                true
            }
            None => false,
        }
    }
}

fn published(scheme: &str, inside: &[u16], ports: &[PublishedPort]) -> Option<Target> {
    let port = ports.iter().find(|port| {
        port.protocol == "tcp" && port.host_port != 0 && inside.contains(&port.container_port)
    })?;
    let host = match port.host_address.as_str() {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        address if address.contains(':') => format!("[{address}]"),
        address => address.to_owned(),
    };
    Some(Target::new(format!("{scheme}://{host}:{}", port.host_port)))
}

fn unasked(problem: &str) -> HealthRoute {
    HealthRoute { problem: problem.to_owned(), ..HealthRoute::default() }
}

fn route(answer: Answer) -> HealthRoute {
    match answer {
        Answer::Got { status, body, location: _ } => health::read_route(status, &body),
        Answer::Nothing { problem } => unasked(&problem),
    }
}

impl<E: Engine> Node<E> {
    /// The container that is meant: by id, or the one with the well-known name.
    pub(crate) async fn meant(
        &self,
        component: Component,
        id: Option<&ContainerId>,
    ) -> Result<Option<Container>, Refusal> {
        let settings = self.component(component)?;
        match id {
            Some(id) => self.ours(component, id).await.map(Some),
            None => Ok(self.engine.container(settings.container.as_str()).await?),
        }
    }

    /// One look at a component.
    pub(crate) async fn health(
        &self,
        component: Component,
        id: Option<&ContainerId>,
    ) -> Result<HealthReport, Refusal> {
        let container = self.meant(component, id).await?;
        let mut targets = self.targets(component, container.as_ref());
        let mut report = self.probe(component, container, &mut targets).await;
        if report.verdict != HealthVerdict::Down
            && let Some(targets) = &mut targets
        {
            report.effective_mode = self.effective_mode(targets).await;
        }
        Ok(report)
    }

    /// Where the container's Quay may be asked.
    pub(crate) fn targets(
        &self,
        component: Component,
        container: Option<&Container>,
    ) -> Option<Targets> {
        if !component.migrates() {
            return None;
        }
        let probe = &self.component(component).ok()?.probe;
        Targets::of(probe, container.map(|container| container.ports.as_slice())?)
    }

    /// How a component is: a Quay by both of its routes, Clair by its own, and
    /// what publishes nothing to ask by its running.
    pub(crate) async fn probe(
        &self,
        component: Component,
        container: Option<Container>,
        targets: &mut Option<Targets>,
    ) -> HealthReport {
        let ports = container.as_ref().map(|container| container.ports.clone()).unwrap_or_default();
        let state = container.map(|container| container.state);
        let runs = state.as_ref().is_some_and(|state| state.status == ContainerStatus::Running);
        let both = |problem, verdict| (unasked(problem), unasked(problem), verdict);
        let (instance, endtoend, verdict) = match (component, targets) {
            _ if !runs => both("the container does not run", HealthVerdict::Down),
            (Component::Quay | Component::Mirror, Some(targets)) => {
                let (instance, endtoend) = self.ask_routes(targets).await;
                let verdict = health::verdict(&instance, &endtoend);
                (instance, endtoend, verdict)
            }
            (Component::Quay, None) => both(
                "no port of Quay is published: set `probe` in agent.yaml",
                HealthVerdict::Unhealthy,
            ),
            (Component::Clair, _) => self.ask_clair(&ports).await,
            (Component::Mirror, None) | (Component::Builder, _) => {
                both("it publishes nothing to ask: it runs", HealthVerdict::Healthy)
            }
        };
        HealthReport {
            at: self.surroundings.now(),
            container: state,
            instance,
            endtoend,
            verdict,
            effective_mode: None,
        }
    }

    async fn ask_clair(
        &self,
        ports: &[PublishedPort],
    ) -> (HealthRoute, HealthRoute, HealthVerdict) {
        let other = unasked("Clair has one route");
        let Some(target) = published("http", &CLAIR_HEALTH_PORTS, ports) else {
            let instance = unasked("its health port 6061 is not published: it runs");
            return (instance, other, HealthVerdict::Healthy);
        };
        match self.surroundings.quay.get(&target, "/health", HEALTH_LIMIT).await {
            Answer::Got { status: 200, .. } => {
                let instance = HealthRoute { status: Some(200), ..HealthRoute::default() };
                (instance, other, HealthVerdict::Healthy)
            }
            Answer::Got { status, .. } => {
                let problem = format!("Clair answered {status}");
                let instance =
                    HealthRoute { status: Some(status), problem, ..HealthRoute::default() };
                (instance, other, HealthVerdict::Unhealthy)
            }
            Answer::Nothing { problem } => (unasked(&problem), other, HealthVerdict::Unhealthy),
        }
    }

    async fn ask_routes(&self, targets: &mut Targets) -> (HealthRoute, HealthRoute) {
        loop {
            let (instance, endtoend) = tokio::join!(
                self.surroundings.quay.get(&targets.first, "/health/instance", HEALTH_LIMIT),
                self.surroundings.quay.get(&targets.first, "/health/endtoend", HEALTH_LIMIT),
            );
            if instance.leads_to_https() && targets.turn_to_https() {
                continue;
            }
            return (route(instance), route(endtoend));
        }
    }

    /// The mode that a running Quay shows (quay-facts 8.5).
    pub(crate) async fn effective_mode(&self, targets: &mut Targets) -> Option<Mode> {
        if !targets.has_mode {
            return None;
        }
        let mut push = self.surroundings.quay.put_manifest_list(&targets.first).await;
        if push.leads_to_https() && targets.turn_to_https() {
            push = self.surroundings.quay.put_manifest_list(&targets.first).await;
        }
        match mode_probe::read_push(push.status()) {
            Push::Shows(mode) => Some(mode),
            Push::AskProgress => {
                let path = "/upgradeprogress/";
                let progress = self.surroundings.quay.get(&targets.first, path, MODE_LIMIT).await;
                mode_probe::read_progress(progress.status())
            }
            Push::Nothing => None,
        }
    }

    /// Whether the container is healthy now. A Quay that is has ended its
    /// migration.
    pub(crate) async fn is_well(&self, component: Component, container: &Container) -> bool {
        let mut targets = self.targets(component, Some(container));
        let report = self.probe(component, Some(container.clone()), &mut targets).await;
        report.verdict == HealthVerdict::Healthy
    }

    /// `/upgradeprogress/` of this node's Quay, with its slash: without, Quay
    /// redirects to another port (quay-observed 1).
    pub(crate) async fn sample_backfill(&self) -> Result<BackfillSample, Refusal> {
        let container = self.meant(Component::Quay, None).await?;
        let at = self.surroundings.now();
        let nothing = |problem: &str| BackfillSample::NoCount {
            at,
            status: None,
            problem: problem.to_owned(),
        };
        let Some(container) = container.filter(|seen| seen.state.status.is_alive()) else {
            return Ok(nothing("no Quay runs on this node"));
        };
        let Some(mut targets) = self.targets(Component::Quay, Some(&container)) else {
            return Ok(nothing("no port of Quay is published: set `probe` in agent.yaml"));
        };
        loop {
            let path = "/upgradeprogress/";
            match self.surroundings.quay.get(&targets.first, path, BACKFILL_LIMIT).await {
                answer if answer.leads_to_https() && targets.turn_to_https() => {}
                Answer::Got { status, body, location: _ } => {
                    return Ok(progress::sample(at, status, &body));
                }
                Answer::Nothing { problem } => return Ok(nothing(&problem)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
