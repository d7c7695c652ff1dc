//! What can be known of a window's verification before the window, and changes nothing: nobody is
//! asked for the right to push, for Quay makes a repository for such a token.

use quaymaster_proto::{NodeName, in_a_line};

use super::{Means, NotSampled, Round, at_node, at_public};
use crate::cluster::VerifySettings;
use crate::plan::situation::{RegistryAnswer, Unanswered};
use crate::registry::{Client, Patience, Trouble};
use crate::survey::ClusterFacts;

/// Asks once, and quickly: the registry serves.
const PATIENCE: Patience = Patience { tries: 3, pause: std::time::Duration::from_millis(500) };

/// Whether login, public name and samples are as the verification needs them.
pub async fn ready(
    settings: &VerifySettings,
    facts: &ClusterFacts,
    nodes: &[NodeName],
) -> RegistryAnswer {
    match asked(settings, facts, nodes).await {
        Ok(()) if settings.credentials.is_none() => RegistryAnswer::InPart,
        Ok(()) => RegistryAnswer::Whole,
        Err(why) => RegistryAnswer::NotReady(why),
    }
}

async fn asked(
    settings: &VerifySettings,
    facts: &ClusterFacts,
    nodes: &[NodeName],
) -> Result<(), Unanswered> {
    let means = Means::read(settings).map_err(|error| unanswered(&error, error.remedy()))?;
    let round = Round { settings, means: &means, facts, patience: PATIENCE };
    let door = |error| unanswered(&error, "see verify.ca in cluster.yaml".to_owned());
    if let Some(public) = &settings.public {
        let client = at_public(public, means.ca(), PATIENCE).map_err(door)?.client;
        client.challenge().await.map_err(|trouble| at(&public.to_string(), &trouble))?;
    }
    let Some((node, reach)) = nodes.iter().find_map(|name| Some((name, round.reach(name).ok()?)))
    else {
        // That no port is published is said when the nodes are verified.
        return Ok(());
    };
    let client = at_node(&reach, means.ca(), PATIENCE).await.map_err(door)?.client;
    logs_in(&client, &means, settings).await.map_err(|trouble| at(node.as_str(), &trouble))?;
    if settings.samples.is_empty() {
        return Ok(());
    }
    match round.sample(nodes, facts.taken_at).await {
        Ok(_) | Err(NotSampled::Nowhere) => Ok(()),
        Err(NotSampled::Trouble(trouble)) => Err(at(node.as_str(), &trouble)),
        Err(error @ NotSampled::Door(_)) => Err(unanswered(&error, error.remedy())),
    }
}

async fn logs_in(client: &Client, means: &Means, settings: &VerifySettings) -> Result<(), Trouble> {
    let challenge = client.challenge().await?;
    if let (Some(challenge), Some(login)) = (challenge, &means.login) {
        client.token(&challenge, Some(login), &settings.repository, "pull").await?;
    }
    Ok(())
}

fn at(place: &str, trouble: &Trouble) -> Unanswered {
    Unanswered { problem: format!("{place}: {trouble}"), remedy: trouble.remedy() }
}

fn unanswered(error: &dyn std::error::Error, remedy: String) -> Unanswered {
    Unanswered { problem: in_a_line(error), remedy }
}
