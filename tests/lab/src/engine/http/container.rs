//! Requests about containers that are answered at once.

use super::{Shared, changed, is_true};
use crate::engine::{
    container::CreateBody,
    filter::Filters,
    inspect::{LIST_FILTERS, is_listed, summary},
    refusal::Refusal,
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    all: Option<String>,
    filters: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NameQuery {
    name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct StopQuery {
    t: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct KillQuery {
    signal: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RemoveQuery {
    force: Option<String>,
    v: Option<String>,
}

pub(super) async fn list(
    State(engine): Shared,
    Query(ListQuery { all, filters }): Query<ListQuery>,
) -> Result<Json<Value>, Refusal> {
    let filters = Filters::parse(filters.as_deref(), LIST_FILTERS)?;
    let all = is_true(all.as_deref());
    let fleet = engine.fleet();
    let mut listed: Vec<_> = fleet
        .0
        .values()
        .map(|entry| &entry.container)
        .filter(|container| is_listed(container, all, &filters))
        .collect();
    listed.sort_by_key(|container| std::cmp::Reverse(container.created));
    let volumes = engine.store.volumes();
    Ok(Json(listed.into_iter().map(|container| summary(container, &volumes)).collect()))
}

pub(super) async fn create(
    State(engine): Shared,
    Query(NameQuery { name }): Query<NameQuery>,
    Json(body): Json<CreateBody>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let id = engine.create(name.as_deref().filter(|name| !name.is_empty()), body)?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": [] }))))
}

pub(super) async fn inspect(
    State(engine): Shared,
    Path(key): Path<String>,
) -> Result<Json<Value>, Refusal> {
    engine.inspect(&key).map(Json)
}

pub(super) async fn start(
    State(engine): Shared,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    let name = engine.fleet().find(&key)?.container.name.clone();
    let change = engine.start(&key)?;
    if engine.store.faults()?.start_answer_lost.contains(&name) {
        return Err(Refusal::Fault("the answer to start"));
    }
    Ok(changed(change))
}

/// A stop goes on when the one who asked for it has gone, as Docker's does.
pub(super) async fn stop(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(StopQuery { t }): Query<StopQuery>,
) -> Result<StatusCode, Refusal> {
    let stopping = tokio::spawn(async move { engine.stop(&key, t).await });
    let change = stopping.await.map_err(|error| Refusal::Broken(error.to_string()))?;
    change.map(changed)
}

pub(super) async fn kill(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(KillQuery { signal }): Query<KillQuery>,
) -> Result<StatusCode, Refusal> {
    engine.kill(&key, signal.as_deref().unwrap_or("KILL"))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(NameQuery { name }): Query<NameQuery>,
) -> Result<StatusCode, Refusal> {
    engine.rename(&key, name.as_deref().unwrap_or_default())?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn update(
    State(engine): Shared,
    Path(key): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> Result<Json<Value>, Refusal> {
    engine.update(&key, &body)?;
    Ok(Json(json!({ "Warnings": null })))
}

pub(super) async fn remove(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(RemoveQuery { force, v }): Query<RemoveQuery>,
) -> Result<StatusCode, Refusal> {
    let (force, volumes) = (is_true(force.as_deref()), is_true(v.as_deref()));
    let removing = Arc::clone(&engine);
    let removing = tokio::spawn(async move { removing.remove(&key, force, volumes).await });
    removing.await.map_err(|error| Refusal::Broken(error.to_string()))??;
    Ok(StatusCode::NO_CONTENT)
}
