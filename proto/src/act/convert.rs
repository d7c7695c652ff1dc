//! Orders to and from the wire, every field by name.

use crate::act::{
    Act, ActOutcome, EnsureRunning, EnsureStopped, ExpectedDatabase, Ground, How, Ordered, Promote,
    PutConfig, StageConfig, StageContainer, StartMigrating,
};
use crate::database::DatabaseIdentity;
use crate::id::{Epoch, StepNumber};
use crate::invalid::{
    InvalidField, each, or_empty, parsed, parsed_if_any, required, within, within_if_any,
};
use crate::wire;
use crate::words::{Component, Mode};

impl TryFrom<wire::Act> for Act {
    type Error = InvalidField;

    fn try_from(message: wire::Act) -> Result<Self, InvalidField> {
        let wire::Act { cluster, run, epoch, step, plan_digest } = message;
        Ok(Self {
            cluster: parsed("cluster", &cluster)?,
            run: parsed("run", &run)?,
            epoch: required("epoch", Epoch::new(epoch))?,
            step: required("step", StepNumber::new(step))?,
            plan: parsed("plan_digest", &plan_digest)?,
        })
    }
}

impl From<Act> for wire::Act {
    fn from(act: Act) -> Self {
        let Act { cluster, run, epoch, step, plan } = act;
        Self {
            cluster: cluster.into(),
            run: run.to_string(),
            epoch: epoch.get(),
            step: step.get(),
            plan_digest: plan.into(),
        }
    }
}

impl TryFrom<wire::ExpectedDatabase> for ExpectedDatabase {
    type Error = InvalidField;

    fn try_from(message: wire::ExpectedDatabase) -> Result<Self, InvalidField> {
        let wire::ExpectedDatabase { identity, revisions } = message;
        if revisions.is_empty() {
            return Err(InvalidField::missing("revisions"));
        }
        Ok(Self { identity: required("identity", DatabaseIdentity::new(identity))?, revisions })
    }
}

impl From<ExpectedDatabase> for wire::ExpectedDatabase {
    fn from(expected: ExpectedDatabase) -> Self {
        let ExpectedDatabase { identity, revisions } = expected;
        Self { identity: identity.to_string(), revisions }
    }
}

impl TryFrom<wire::StageContainerRequest> for Ordered<StageContainer> {
    type Error = InvalidField;

    fn try_from(message: wire::StageContainerRequest) -> Result<Self, InvalidField> {
        let wire::StageContainerRequest {
            act,
            component,
            container_id,
            spec_digest,
            generation,
            port_moves,
            mount_copies,
            attempt,
        } = message;
        let order = StageContainer {
            component: Component::from_wire("component", component)?,
            container: parsed("container_id", &container_id)?,
            spec: parsed("spec_digest", &spec_digest)?,
            generation: within("generation", generation)?,
            port_moves: each("port_moves", port_moves)?,
            mount_copies: each("mount_copies", mount_copies)?,
            attempt: super::attempt(attempt)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<StageContainer>> for wire::StageContainerRequest {
    fn from(ordered: Ordered<StageContainer>) -> Self {
        let Ordered { act, order } = ordered;
        let StageContainer {
            component,
            container,
            spec,
            generation,
            port_moves,
            mount_copies,
            attempt,
        } = order;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: container.into(),
            spec_digest: spec.into(),
            generation: Some(generation.into()),
            port_moves: port_moves.into_iter().map(Into::into).collect(),
            mount_copies: mount_copies.into_iter().map(Into::into).collect(),
            attempt,
        }
    }
}

impl TryFrom<wire::StageConfigRequest> for Ordered<StageConfig> {
    type Error = InvalidField;

    fn try_from(message: wire::StageConfigRequest) -> Result<Self, InvalidField> {
        let wire::StageConfigRequest { act, from_sha256, to_sha256, mode } = message;
        let order = StageConfig {
            from: parsed("from_sha256", &from_sha256)?,
            to: parsed("to_sha256", &to_sha256)?,
            mode: Mode::from_wire("mode", mode)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<StageConfig>> for wire::StageConfigRequest {
    fn from(ordered: Ordered<StageConfig>) -> Self {
        let Ordered { act, order: StageConfig { from, to, mode } } = ordered;
        Self {
            act: Some(act.into()),
            from_sha256: from.into(),
            to_sha256: to.into(),
            mode: mode.to_wire(),
        }
    }
}

impl TryFrom<wire::EnsureStoppedRequest> for Ordered<EnsureStopped> {
    type Error = InvalidField;

    fn try_from(message: wire::EnsureStoppedRequest) -> Result<Self, InvalidField> {
        let wire::EnsureStoppedRequest {
            act,
            component,
            container_id,
            generation,
            grace_seconds,
            restart_policy,
        } = message;
        let grace_seconds = super::grace(grace_seconds)?;
        let order = EnsureStopped {
            component: Component::from_wire("component", component)?,
            container: parsed("container_id", &container_id)?,
            generation: within("generation", generation)?,
            grace_seconds,
            restart_policy: within("restart_policy", restart_policy)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<EnsureStopped>> for wire::EnsureStoppedRequest {
    fn from(ordered: Ordered<EnsureStopped>) -> Self {
        let Ordered { act, order } = ordered;
        let EnsureStopped { component, container, generation, grace_seconds, restart_policy } =
            order;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: container.into(),
            generation: Some(generation.into()),
            grace_seconds,
            restart_policy: Some(restart_policy.into()),
        }
    }
}

impl TryFrom<wire::PutConfigRequest> for Ordered<PutConfig> {
    type Error = InvalidField;

    fn try_from(message: wire::PutConfigRequest) -> Result<Self, InvalidField> {
        let wire::PutConfigRequest { act, from_sha256, to_sha256 } = message;
        let order = PutConfig {
            from: parsed("from_sha256", &from_sha256)?,
            to: parsed("to_sha256", &to_sha256)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<PutConfig>> for wire::PutConfigRequest {
    fn from(ordered: Ordered<PutConfig>) -> Self {
        let Ordered { act, order: PutConfig { from, to } } = ordered;
        Self { act: Some(act.into()), from_sha256: from.into(), to_sha256: to.into() }
    }
}

impl TryFrom<wire::StartMigratingRequest> for Ordered<StartMigrating> {
    type Error = InvalidField;

    fn try_from(message: wire::StartMigratingRequest) -> Result<Self, InvalidField> {
        let wire::StartMigratingRequest {
            act,
            container_id,
            generation,
            database,
            config_sha256,
            expected_sessions,
        } = message;
        let order = StartMigrating {
            container: parsed("container_id", &container_id)?,
            generation: within("generation", generation)?,
            database: within("database", database)?,
            config: parsed("config_sha256", &config_sha256)?,
            expected_sessions,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<StartMigrating>> for wire::StartMigratingRequest {
    fn from(ordered: Ordered<StartMigrating>) -> Self {
        let Ordered { act, order } = ordered;
        let StartMigrating { container, generation, database, config, expected_sessions } = order;
        Self {
            act: Some(act.into()),
            container_id: container.into(),
            generation: Some(generation.into()),
            database: Some(database.into()),
            config_sha256: config.into(),
            expected_sessions,
        }
    }
}

impl TryFrom<wire::EnsureRunningRequest> for Ordered<EnsureRunning> {
    type Error = InvalidField;

    fn try_from(message: wire::EnsureRunningRequest) -> Result<Self, InvalidField> {
        let wire::EnsureRunningRequest {
            act,
            component,
            container_id,
            generation,
            database,
            config_sha256,
        } = message;
        let component = Component::from_wire("component", component)?;
        let is_bare = database.is_none() && config_sha256.is_empty();
        let ground = match (component.migrates(), is_bare) {
            (true, _) => Some(Ground {
                database: within("database", database)?,
                config: parsed("config_sha256", &config_sha256)?,
            }),
            (false, true) => None,
            (false, false) => {
                let reason = format!("a {component} proves no database");
                return Err(InvalidField::because("database", reason));
            }
        };
        let order = EnsureRunning {
            component,
            container: parsed("container_id", &container_id)?,
            generation: within("generation", generation)?,
            ground,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<EnsureRunning>> for wire::EnsureRunningRequest {
    fn from(ordered: Ordered<EnsureRunning>) -> Self {
        let Ordered { act, order } = ordered;
        let EnsureRunning { component, container, generation, ground } = order;
        let (database, config) =
            ground.map(|Ground { database, config }| (database, config)).unzip();
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: container.into(),
            generation: Some(generation.into()),
            database: database.map(Into::into),
            config_sha256: or_empty(config),
        }
    }
}

impl TryFrom<wire::PromoteRequest> for Ordered<Promote> {
    type Error = InvalidField;

    fn try_from(message: wire::PromoteRequest) -> Result<Self, InvalidField> {
        let wire::PromoteRequest { act, component, container_id, generation, restart_policy } =
            message;
        let order = Promote {
            component: Component::from_wire("component", component)?,
            container: parsed("container_id", &container_id)?,
            generation: within("generation", generation)?,
            restart_policy: within("restart_policy", restart_policy)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<Promote>> for wire::PromoteRequest {
    fn from(ordered: Ordered<Promote>) -> Self {
        let Ordered { act, order } = ordered;
        let Promote { component, container, generation, restart_policy } = order;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: container.into(),
            generation: Some(generation.into()),
            restart_policy: Some(restart_policy.into()),
        }
    }
}

impl TryFrom<wire::ActReply> for ActOutcome {
    type Error = InvalidField;

    fn try_from(message: wire::ActReply) -> Result<Self, InvalidField> {
        use wire::act_reply::How as WireHow;
        let wire::ActReply { how, container, config_sha256, engine_time } = message;
        let how = match WireHow::try_from(how) {
            Ok(WireHow::Changed) => How::Changed,
            Ok(WireHow::Already) => How::Already,
            Ok(WireHow::Unspecified) => return Err(InvalidField::missing("how")),
            Err(_) => return Err(InvalidField::because("how", format!("unknown answer {how}"))),
        };
        Ok(Self {
            how,
            container: within_if_any("container", container)?,
            config: parsed_if_any("config_sha256", &config_sha256)?,
            engine_time: parsed_if_any("engine_time", &engine_time)?,
        })
    }
}

impl From<ActOutcome> for wire::ActReply {
    fn from(outcome: ActOutcome) -> Self {
        use wire::act_reply::How as WireHow;
        let ActOutcome { how, container, config, engine_time } = outcome;
        let how = match how {
            How::Changed => WireHow::Changed,
            How::Already => WireHow::Already,
        };
        Self {
            how: how as i32,
            container: container.map(Into::into),
            config_sha256: or_empty(config),
            engine_time: or_empty(engine_time),
        }
    }
}
