//! Verdicts on a Quay's health, from what its two routes answered.
//!
//! Answers are read loosely: 2.9 names other services than 3.0, a superuser
//! gets more than anyone else, and a failing Quay may answer HTML
//! (quay-facts 1.2, quay-observed 2).

use std::collections::BTreeMap;

use quaymaster_proto::health::{HealthRoute, HealthVerdict};
use serde_json::Value;

/// What one health route answered with this status and body.
pub fn read_route(status: u16, body: &str) -> HealthRoute {
    let services = services(body);
    let problem = match (status, &services) {
        // The first seconds of a start (quay-observed 2).
        (502, None) => "nothing behind Quay's own proxy answers yet".to_owned(),
        (301 | 302 | 307 | 308, None) => "a redirect instead of an answer".to_owned(),
        (404, None) => "no such route: is this a Quay?".to_owned(),
        (_, None) => "the answer is not health JSON".to_owned(),
        (_, Some(_)) => String::new(),
    };
    HealthRoute { status: Some(status), services: services.unwrap_or_default(), problem }
}

/// `data.services`: at least one, and each true or false. What is empty or says
/// something else is not what a Quay says of its health.
fn services(body: &str) -> Option<BTreeMap<String, bool>> {
    let json: Value = serde_json::from_str(body).ok()?;
    let services = json.get("data")?.get("services")?.as_object()?;
    let named = services.iter().map(|(name, value)| Some((name.clone(), value.as_bool()?)));
    let named: BTreeMap<String, bool> = named.collect::<Option<_>>()?;
    (!named.is_empty()).then_some(named)
}

/// Healthy = both routes answered 200, readably, with every service true. Of a
/// container that runs; one that does not is down whatever answers.
pub fn verdict(instance: &HealthRoute, endtoend: &HealthRoute) -> HealthVerdict {
    match (unhealthy(instance), unhealthy(endtoend)) {
        (None, None) => HealthVerdict::Healthy,
        (Some(_), _) | (None, Some(_)) => HealthVerdict::Unhealthy,
    }
}

/// Why a route's answer is not that of a healthy Quay.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing, or nothing that can be read.
    #[error("{problem}")]
    NoAnswer {
        /// Why.
        problem: String,
    },
    /// Some services said false.
    #[error("not well: {}", services.join(", "))]
    Services {
        /// Their names.
        services: Vec<String>,
    },
    /// All services true, or none named, and still not 200.
    #[error("answered {status}")]
    Status {
        /// HTTP status.
        status: u16,
    },
}

/// Why this route's answer is not a healthy one; `None` = it is.
pub fn unhealthy(route: &HealthRoute) -> Option<Unhealthy> {
    let HealthRoute { status, services, problem } = route;
    let ill: Vec<String> =
        services.iter().filter(|(_, is_well)| !**is_well).map(|(name, _)| name.clone()).collect();
    match status {
        _ if !problem.is_empty() => Some(Unhealthy::NoAnswer { problem: problem.clone() }),
        None => Some(Unhealthy::NoAnswer { problem: "no answer".to_owned() }),
        Some(_) if !ill.is_empty() => Some(Unhealthy::Services { services: ill }),
        Some(200) => None,
        Some(status) => Some(Unhealthy::Status { status: *status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded (quay-observed 2).
    const INSTANCE: &str = r#"{"data":{"services":{"auth":true,"database":true,"disk_space":true,"jwtproxy":true,"registry_gunicorn":true,"service_key":true,"verbs_gunicorn":true,"web_gunicorn":true}},"status_code":200}
"#;
    const ENDTOEND: &str = r#"{"data":{"services":{"auth":true,"database":true,"redis":true,"storage":true}},"status_code":200}
"#;

    fn why(status: u16, body: &str) -> String {
        unhealthy(&read_route(status, body)).map_or_else(String::new, |why| why.to_string())
    }

    #[test]
    fn healthy_is_both_routes_well() {
        let (instance, endtoend) = (read_route(200, INSTANCE), read_route(200, ENDTOEND));
        assert_eq!(instance.services.len(), 8);
        assert_eq!(verdict(&instance, &endtoend), HealthVerdict::Healthy);
        let redis_down = read_route(
            503,
            r#"{"data":{"services":{"auth":true,"database":true,"redis":false,"storage":true}},"status_code":503}"#,
        );
        assert_eq!(verdict(&instance, &redis_down), HealthVerdict::Unhealthy);
        assert_eq!(verdict(&redis_down, &endtoend), HealthVerdict::Unhealthy);
        assert_eq!(verdict(&instance, &HealthRoute::default()), HealthVerdict::Unhealthy);
    }

    #[test]
    fn what_is_not_well_is_named() {
        let starting = INSTANCE
            .replace("\"registry_gunicorn\":true", "\"registry_gunicorn\":false")
            .replace("\"verbs_gunicorn\":true", "\"verbs_gunicorn\":false");
        assert_eq!(why(503, &starting), "not well: registry_gunicorn, verbs_gunicorn");
        assert_eq!(why(200, &starting), "not well: registry_gunicorn, verbs_gunicorn");
        assert_eq!(why(503, INSTANCE), "answered 503");
        assert_eq!(why(502, "<html>"), "nothing behind Quay's own proxy answers yet");
        assert_eq!(why(500, "<html>"), "the answer is not health JSON");
        assert_eq!(why(429, "Too many login attempts."), "the answer is not health JSON");
        assert_eq!(why(200, "true"), "the answer is not health JSON");
        for nothing_said in ["{}", r#"{"auth":null}"#, r#"{"auth":true,"database":"down"}"#] {
            let body = format!(r#"{{"data":{{"services":{nothing_said}}},"status_code":200}}"#);
            assert_eq!(why(200, &body), "the answer is not health JSON", "{body}");
        }
        assert_eq!(why(200, INSTANCE), "");
    }

    #[test]
    fn other_releases_and_superusers_answers_are_read_too() {
        let old = r#"{"data":{"services":{"registry_gunicorn":true,"web_gunicorn":true}},"status_code":200}"#;
        assert_eq!(why(200, old), "");
        let superuser = r#"{"data":{"services":{"auth":true},"services_expanded":{"auth":{"status":true}},"notes":[],"is_testing":false},"status_code":200}"#;
        assert_eq!(why(200, superuser), "");
    }
}
