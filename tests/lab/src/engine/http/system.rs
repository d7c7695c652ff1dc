//! What the engine says of itself.

use super::Shared;
use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

pub(super) async fn ping(State(engine): Shared) -> impl IntoResponse {
    let headers = [
        ("Api-Version", engine.options.api_version.clone()),
        ("Docker-Experimental", "false".to_owned()),
        ("Ostype", "linux".to_owned()),
        ("Server", format!("Docker/{} (linux)", engine.options.engine_version)),
    ];
    (headers, "OK")
}

pub(super) async fn version(State(engine): Shared) -> Json<Value> {
    let (api, version) = (&engine.options.api_version, &engine.options.engine_version);
    Json(json!({
        "Platform": { "Name": "" },
        "Components": [{
            "Name": "Engine", "Version": version,
            "Details": { "ApiVersion": api, "MinAPIVersion": "1.12", "Os": "linux" },
        }],
        "Version": version, "ApiVersion": api, "MinAPIVersion": "1.12", "GitCommit": "",
        "GoVersion": "", "Os": "linux", "Arch": "amd64", "KernelVersion": "", "BuildTime": "",
    }))
}

pub(super) async fn info(State(engine): Shared) -> Json<Value> {
    let (all, up) = {
        let fleet = engine.fleet();
        let up = fleet.0.values().filter(|entry| entry.container.phase.is_up()).count();
        (fleet.0.len(), up)
    };
    let images = engine.store.images().map_or(0, |images| images.len());
    Json(json!({
        "ID": engine.id, "Name": engine.options.node, "Containers": all, "ContainersRunning": up,
        "ContainersPaused": 0, "ContainersStopped": all - up, "Images": images,
        "Driver": "stand-in", "DriverStatus": [], "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs", "CgroupVersion": "1", "OSType": "linux",
        "OperatingSystem": "stand-in engine", "Architecture": "x86_64",
        "DockerRootDir": engine.options.state, "ServerVersion": engine.options.engine_version,
        "SecurityOptions": [], "LiveRestoreEnabled": false, "ExperimentalBuild": false,
        "Labels": [], "Warnings": null,
    }))
}
