//! What an agent keeps of a healing in the place of a plan: any machine can read
//! there what was begun.

use quaymaster_proto::{ClusterName, PlanDigest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Healing;

/// The version of its form.
const VERSION: u32 = 1;

/// Its bytes, and their digest.
pub fn document(cluster: &ClusterName, healing: &Healing) -> Option<(PlanDigest, Vec<u8>)> {
    let document = json!({ "version": VERSION, "cluster": cluster, "heal": healing });
    let bytes = format!("{document:#}\n").into_bytes();
    let digest = Sha256::digest(&bytes);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((digest.parse().ok()?, bytes))
}

/// Whether what an agent keeps is a healing's, and no window's plan.
pub fn is_document(bytes: &[u8]) -> bool {
    let read: Result<Value, _> = serde_json::from_slice(bytes);
    read.is_ok_and(|value| value.get("heal").is_some())
}
