//! `check`: whether this node could be served, finding by finding.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the clock")]

use std::path::Path;

use jiff::Timestamp;

use crate::app;
use crate::config::AgentConfig;
use crate::config_file::ConfigFile;
use crate::engine::EngineLooks as _;
use crate::engine::docker::DockerEngine;
use crate::jobs;
use crate::quay::settings::Settings;

/// What was looked at and what was found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Whether it would do.
    pub(crate) is_good: bool,
    /// In words.
    pub(crate) text: String,
}

fn good(text: String) -> Finding {
    Finding { is_good: true, text }
}

fn bad(error: &dyn std::error::Error) -> Finding {
    Finding { is_good: false, text: crate::chain(error) }
}

/// Everything that `run` would need, in its order.
pub(crate) async fn check(path: &Path) -> Vec<Finding> {
    let config = match app::read_config(path) {
        Ok(config) => config,
        Err(error) => return vec![bad(&error)],
    };
    let AgentConfig { cluster, node, listen, .. } = &config;
    let mut findings =
        vec![good(format!("agent of node `{node}` in cluster `{cluster}`, listening on {listen}"))];
    findings.push(match app::load_identity(&config) {
        Ok(identity) if identity.not_after < Timestamp::now() => Finding {
            is_good: false,
            text: format!("the certificate ended on {}", identity.not_after),
        },
        Ok(identity) => {
            good(format!("certificate `{}`, valid until {}", identity.peer, identity.not_after))
        }
        Err(error) => bad(&error),
    });
    findings.push(config_file(&config));
    findings.extend(logins(&config));
    findings.extend(engine(&config).await);
    findings
}

/// The file with the registries' logins, where agent.yaml names one.
fn logins(config: &AgentConfig) -> Option<Finding> {
    let path = config.registry_credentials.as_ref()?;
    let quay = &config.components[&quaymaster_proto::Component::Quay];
    let repositories = quay.repositories.iter().map(ToString::to_string);
    Some(match jobs::read_logins(path, repositories) {
        Ok(count) => {
            good(format!("`{}`: logins for {count} of Quay's repositories", path.display()))
        }
        Err(text) => Finding { is_good: false, text },
    })
}

fn config_file(config: &AgentConfig) -> Finding {
    match ConfigFile::read(&config.quay_config) {
        Ok(file) => match Settings::read(&file.bytes) {
            Ok(settings) => good(format!(
                "`{}`: {}, mode {}",
                file.path.display(),
                file.digest.short(),
                settings.mode()
            )),
            Err(error) => bad(&error),
        },
        Err(error) => bad(&error),
    }
}

async fn engine(config: &AgentConfig) -> Vec<Finding> {
    let engine = match DockerEngine::connect(config.engine.path()).await {
        Ok(engine) => engine,
        Err(error) => return vec![bad(&error)],
    };
    let mut findings = vec![match engine.facts().await {
        Ok(facts) => good(format!("{} {}, API {}", facts.name, facts.version, facts.api_version)),
        Err(error) => bad(&error),
    }];
    for (component, settings) in &config.components {
        let name = settings.container.as_str();
        findings.push(match engine.container(name).await {
            Ok(Some(found)) => {
                good(format!("{component}: container `{name}` is {}", found.state.status))
            }
            Ok(None) => Finding {
                is_good: false,
                text: format!("{component}: the engine has no container `{name}`"),
            },
            Err(error) => bad(&error),
        });
    }
    findings
}
