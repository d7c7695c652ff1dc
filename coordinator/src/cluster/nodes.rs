//! The list of nodes: names and addresses each only once.

use quaymaster_proto::NodeName;
use serde_yaml::Value;

use super::ListedNode;
use super::address::NodeAddress;
use super::fields::{Fields, kind, parse};
use super::mistake::{Mistake, Trouble};

/// `None` only after a mistake was noted.
pub(super) fn read(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Option<Vec<ListedNode>> {
    let path = file.at("nodes");
    let values = match file.value("nodes") {
        Some(Value::Sequence(values)) => values,
        Some(other) => {
            mistakes.push(kind(path, "a list of nodes", &other));
            return None;
        }
        None => {
            mistakes.push(Mistake::new(path, Trouble::Missing));
            return None;
        }
    };
    if values.is_empty() {
        mistakes.push(Mistake::new(path, Trouble::NoNodes));
        return None;
    }
    let mut seen: Vec<Seen> = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let path = format!("nodes[{index}]");
        let Some(mut fields) = Fields::element(path.clone(), value, mistakes) else { continue };
        let node = Seen {
            path,
            name: fields.parsed("name", mistakes),
            address: fields.parsed("address", mistakes),
        };
        fields.finish(mistakes);
        node.compare(&seen, mistakes);
        seen.push(node);
    }
    seen.into_iter()
        .map(|Seen { path: _, name, address }| Some(ListedNode { name: name?, address: address? }))
        .collect()
}

/// What could be read of one node.
struct Seen {
    path: String,
    name: Option<NodeName>,
    address: Option<NodeAddress>,
}

impl Seen {
    fn compare(&self, before: &[Self], mistakes: &mut Vec<Mistake>) {
        if let Some(name) = &self.name
            && let Some(other) = before.iter().find(|other| other.name.as_ref() == Some(name))
        {
            let trouble = Trouble::SameName { name: name.to_string(), other: other.path.clone() };
            mistakes.push(Mistake::new(format!("{}.name", self.path), trouble));
        }
        if let Some(address) = &self.address
            && let Some(other) = before.iter().find(|other| other.address.as_ref() == Some(address))
        {
            let trouble =
                Trouble::SameAddress { address: address.to_string(), other: other.path.clone() };
            mistakes.push(Mistake::new(format!("{}.address", self.path), trouble));
        }
    }
}

/// The node that migrates: the one that is named, else the first listed.
pub(super) fn first(
    file: &mut Fields,
    nodes: Option<&[ListedNode]>,
    mistakes: &mut Vec<Mistake>,
) -> Option<NodeName> {
    let named = file.text_if_any("first", mistakes);
    let Some(text) = named else { return Some(nodes?.first()?.name.clone()) };
    listed(file.at("first"), &text, nodes, mistakes)
}

/// A node that the file lists.
pub(super) fn listed(
    path: String,
    text: &str,
    nodes: Option<&[ListedNode]>,
    mistakes: &mut Vec<Mistake>,
) -> Option<NodeName> {
    let name: NodeName = parse(path.clone(), text, mistakes)?;
    let nodes = nodes?;
    if !nodes.iter().any(|node| node.name == name) {
        let nodes = nodes.iter().map(|node| node.name.to_string()).collect();
        mistakes.push(Mistake::new(path, Trouble::NotListed { name: name.to_string(), nodes }));
        return None;
    }
    Some(name)
}
