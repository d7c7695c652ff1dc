//! Names that people give: of clusters and of nodes.

use crate::text::text_type;

const RULE: &str = "a name: 1 to 63 of a-z, 0-9 and `-`, with neither end a `-`";

text_type! {
    /// A cluster's name, as in its certificates.
    ClusterName, RULE, is_name
}
text_type! {
    /// A node's name, unique in its cluster and the DNS name in its certificate.
    NodeName, RULE, is_name
}

/// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
fn is_name(text: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!(bytes, [first, ..] if is_edge(*first))
        && matches!(bytes, [.., last] if is_edge(*last))
        && bytes.len() <= 63
        && bytes.iter().all(|byte| is_edge(*byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label_in_lower_case() {
        for good in ["a", "quay-1", "0", &"a".repeat(63)] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Quay", "a.b", "a b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }
}
