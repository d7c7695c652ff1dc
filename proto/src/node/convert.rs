//! Node facts to and from the wire, every field by name.

use crate::id::{Epoch, StepNumber};
use crate::invalid::{InvalidField, each, parsed, required, within, within_if_any};
use crate::node::{
    ComponentFacts, ConfigFacts, ContainerFacts, EngineFacts, LedgerHead, NodeFacts, OtherStarter,
    PublishedPort, ReadableConfig,
};
use crate::wire;
use crate::words::{Component, Mode, port};

impl TryFrom<wire::NodeDescription> for NodeFacts {
    type Error = InvalidField;

    fn try_from(message: wire::NodeDescription) -> Result<Self, InvalidField> {
        let wire::NodeDescription {
            cluster,
            node,
            agent_version,
            now,
            certificate_not_after,
            engine,
            components,
            config,
            ledger,
            free_bytes_engine,
            free_bytes_config,
            lease,
            floor,
            floor_sightings,
            backup,
            floor_problem,
        } = message;
        Ok(Self {
            cluster: parsed("cluster", &cluster)?,
            node: parsed("node", &node)?,
            agent_version,
            now: parsed("now", &now)?,
            certificate_not_after: parsed("certificate_not_after", &certificate_not_after)?,
            engine: required("engine", engine)?.into(),
            components: each("components", components)?,
            config: within("config", config)?,
            ledger: within_if_any("ledger", ledger)?,
            lease: within_if_any("lease", lease)?,
            floor: within_if_any("floor", floor)?,
            floor_sightings,
            floor_problem,
            backup: within_if_any("backup", backup)?,
            free_bytes_engine,
            free_bytes_config,
        })
    }
}

impl From<NodeFacts> for wire::NodeDescription {
    fn from(facts: NodeFacts) -> Self {
        let NodeFacts {
            cluster,
            node,
            agent_version,
            now,
            certificate_not_after,
            engine,
            components,
            config,
            ledger,
            free_bytes_engine,
            free_bytes_config,
            lease,
            floor,
            floor_sightings,
            backup,
            floor_problem,
        } = facts;
        Self {
            cluster: cluster.into(),
            node: node.into(),
            agent_version,
            now: now.to_string(),
            certificate_not_after: certificate_not_after.to_string(),
            engine: Some(engine.into()),
            components: components.into_iter().map(Into::into).collect(),
            config: Some(config.into()),
            ledger: ledger.map(Into::into),
            lease: lease.map(Into::into),
            floor: floor.map(Into::into),
            floor_sightings,
            floor_problem,
            backup: backup.map(Into::into),
            free_bytes_engine,
            free_bytes_config,
        }
    }
}

impl From<wire::EngineDescription> for EngineFacts {
    fn from(message: wire::EngineDescription) -> Self {
        let wire::EngineDescription { id, name, version, api_version } = message;
        Self { id, name, version, api_version }
    }
}

impl From<EngineFacts> for wire::EngineDescription {
    fn from(facts: EngineFacts) -> Self {
        let EngineFacts { id, name, version, api_version } = facts;
        Self { id, name, version, api_version }
    }
}

impl TryFrom<wire::LedgerHead> for LedgerHead {
    type Error = InvalidField;

    fn try_from(message: wire::LedgerHead) -> Result<Self, InvalidField> {
        let wire::LedgerHead { run, epoch, step, plan_digest } = message;
        Ok(Self {
            run: parsed("run", &run)?,
            epoch: required("epoch", Epoch::new(epoch))?,
            step: required("step", StepNumber::new(step))?,
            plan: parsed("plan_digest", &plan_digest)?,
        })
    }
}

impl From<LedgerHead> for wire::LedgerHead {
    fn from(head: LedgerHead) -> Self {
        let LedgerHead { run, epoch, step, plan } = head;
        Self {
            run: run.to_string(),
            epoch: epoch.get(),
            step: step.get(),
            plan_digest: plan.into(),
        }
    }
}

impl TryFrom<wire::ComponentDescription> for ComponentFacts {
    type Error = InvalidField;

    fn try_from(message: wire::ComponentDescription) -> Result<Self, InvalidField> {
        let wire::ComponentDescription {
            component,
            container_name,
            repositories,
            container,
            others,
        } = message;
        Ok(Self {
            component: Component::from_wire("component", component)?,
            container_name,
            repositories,
            container: within_if_any("container", container)?,
            others: each("others", others)?,
        })
    }
}

impl From<ComponentFacts> for wire::ComponentDescription {
    fn from(facts: ComponentFacts) -> Self {
        let ComponentFacts { component, container_name, repositories, container, others } = facts;
        Self {
            component: component.to_wire(),
            container_name,
            repositories,
            container: container.map(Into::into),
            others: others.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::ContainerDescription> for ContainerFacts {
    type Error = InvalidField;

    fn try_from(message: wire::ContainerDescription) -> Result<Self, InvalidField> {
        let wire::ContainerDescription {
            state,
            image_reference,
            image_tags,
            image_digests,
            spec_digest,
            ports,
            environment_names,
            labels,
            override_mode,
            has_override_config,
            effective_mode,
            other_starters,
            owner_restart_policy,
        } = message;
        let mode = |path, number: Option<i32>| {
            number.map(|number| Mode::from_wire(path, number)).transpose()
        };
        Ok(Self {
            state: within("state", state)?,
            image_reference,
            image_tags,
            image_digests,
            spec: parsed("spec_digest", &spec_digest)?,
            ports: each("ports", ports)?,
            environment_names,
            labels: labels.into_iter().collect(),
            override_mode: mode("override_mode", override_mode)?,
            has_override_config,
            effective_mode: mode("effective_mode", effective_mode)?,
            other_starters: other_starters.into_iter().map(Into::into).collect(),
            owner_restart_policy: within_if_any("owner_restart_policy", owner_restart_policy)?,
        })
    }
}

impl From<ContainerFacts> for wire::ContainerDescription {
    fn from(facts: ContainerFacts) -> Self {
        let ContainerFacts {
            state,
            image_reference,
            image_tags,
            image_digests,
            spec,
            ports,
            environment_names,
            labels,
            override_mode,
            has_override_config,
            effective_mode,
            other_starters,
            owner_restart_policy,
        } = facts;
        Self {
            state: Some(state.into()),
            image_reference,
            image_tags,
            image_digests,
            spec_digest: spec.into(),
            ports: ports.into_iter().map(Into::into).collect(),
            environment_names,
            labels: labels.into_iter().collect(),
            override_mode: override_mode.map(Mode::to_wire),
            has_override_config,
            effective_mode: effective_mode.map(Mode::to_wire),
            other_starters: other_starters.into_iter().map(Into::into).collect(),
            owner_restart_policy: owner_restart_policy.map(Into::into),
        }
    }
}

impl From<wire::OtherStarter> for OtherStarter {
    fn from(message: wire::OtherStarter) -> Self {
        let wire::OtherStarter { what, remedy } = message;
        Self { what, remedy }
    }
}

impl From<OtherStarter> for wire::OtherStarter {
    fn from(starter: OtherStarter) -> Self {
        let OtherStarter { what, remedy } = starter;
        Self { what, remedy }
    }
}

impl TryFrom<wire::PublishedPort> for PublishedPort {
    type Error = InvalidField;

    fn try_from(message: wire::PublishedPort) -> Result<Self, InvalidField> {
        let wire::PublishedPort { container_port, protocol, host_address, host_port } = message;
        Ok(Self {
            container_port: port("container_port", container_port)?,
            protocol,
            host_address,
            host_port: port("host_port", host_port)?,
        })
    }
}

impl From<PublishedPort> for wire::PublishedPort {
    fn from(published: PublishedPort) -> Self {
        let PublishedPort { container_port, protocol, host_address, host_port } = published;
        Self {
            container_port: container_port.into(),
            protocol,
            host_address,
            host_port: host_port.into(),
        }
    }
}

impl TryFrom<wire::ConfigDescription> for ConfigFacts {
    type Error = InvalidField;

    fn try_from(message: wire::ConfigDescription) -> Result<Self, InvalidField> {
        let wire::ConfigDescription {
            path,
            sha256,
            size,
            owner,
            group,
            permissions,
            file_identity,
            keyed_values,
            mode,
            setup_complete,
            problem,
        } = message;
        if !problem.is_empty() {
            return Ok(Self::Unusable { path, problem });
        }
        Ok(Self::Readable(ReadableConfig {
            path,
            sha256: parsed("sha256", &sha256)?,
            size,
            owner,
            group,
            permissions,
            file_identity,
            keyed_values: keyed_values.into_iter().collect(),
            mode: Mode::from_wire("mode", mode)?,
            setup_complete,
        }))
    }
}

impl From<ConfigFacts> for wire::ConfigDescription {
    fn from(facts: ConfigFacts) -> Self {
        let readable = match facts {
            ConfigFacts::Readable(readable) => readable,
            ConfigFacts::Unusable { path, problem } => {
                return Self { path, problem, ..Self::default() };
            }
        };
        let ReadableConfig {
            path,
            sha256,
            size,
            owner,
            group,
            permissions,
            file_identity,
            keyed_values,
            mode,
            setup_complete,
        } = readable;
        Self {
            path,
            sha256: sha256.into(),
            size,
            owner,
            group,
            permissions,
            file_identity,
            keyed_values: keyed_values.into_iter().collect(),
            mode: mode.to_wire(),
            setup_complete,
            problem: String::new(),
        }
    }
}
