//! What an engine's words about a registry come to. Pure.
//!
//! Engines pass on what registries say, each in its own words and under
//! changing codes. Only what a person has to mend is told apart; whatever else
//! went wrong may go right another time.

/// Why an image cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// No room for it.
    DiskFull,
    /// The registry serves something else under its digest.
    OtherBytes,
    /// The registry wants a login, or another one.
    Denied,
    /// The registry does not hold it.
    Missing,
    /// No registry answered, or not to the end.
    Unanswered,
}

const DISK_FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// Docker of manifests and layers; containerd and Podman of both.
const OTHER_BYTES: [&str; 4] = [
    "verification failed for digest",
    "unexpected commit digest",
    "did not match, expected",
    "does not match the expected digest",
];

const DENIED: [&str; 5] = [
    "unauthorized",
    "access denied",
    "denied: ",
    "authentication required",
    "no basic auth credentials",
];

const MISSING: [&str; 5] =
    ["manifest unknown", "name unknown", "blob unknown", "unknown blob", "not known to registry"];

/// Judges an engine's answer, by its status where it had one and by its words.
pub(crate) fn verdict(status: Option<u16>, words: &str) -> Verdict {
    let words = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    if says(&DISK_FULL) {
        Verdict::DiskFull
    } else if says(&OTHER_BYTES) {
        Verdict::OtherBytes
    } else if matches!(status, Some(401 | 403)) || says(&DENIED) {
        Verdict::Denied
    } else if status == Some(404) || says(&MISSING) {
        Verdict::Missing
    } else {
        Verdict::Unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker 20.10 said them of a real registry.
    #[test]
    fn an_engines_words_are_told_apart() {
        let cases = [
            (
                Some(500),
                "Head \"http://r/v2/q/manifests/v1\": no basic auth credentials",
                Verdict::Denied,
            ),
            (Some(401), "unauthorized: authentication required", Verdict::Denied),
            (Some(500), "unauthorized: authentication required", Verdict::Denied),
            (
                Some(404),
                "pull access denied for r/q, repository does not exist or may require 'docker \
                 login': denied: requested access to the resource is denied",
                Verdict::Denied,
            ),
            (Some(404), "manifest unknown: manifest unknown", Verdict::Missing),
            (None, "unknown blob", Verdict::Missing),
            (
                Some(500),
                "Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection \
                 refused",
                Verdict::Unanswered,
            ),
            (
                Some(500),
                "Get \"https://quay.io/v2/\": dial tcp: lookup quay.io on 10.0.0.1:53: no such host",
                Verdict::Unanswered,
            ),
            (None, "unexpected EOF", Verdict::Unanswered),
            (None, "mkdir /var/lib/docker/x: permission denied", Verdict::Unanswered),
            (None, "manifest verification failed for digest sha256:cf9a", Verdict::OtherBytes),
            (
                None,
                "filesystem layer verification failed for digest sha256:2653",
                Verdict::OtherBytes,
            ),
            (None, "write /var/lib/docker/tmp/x: no space left on device", Verdict::DiskFull),
        ];
        for (status, words, expected) in cases {
            assert_eq!(verdict(status, words), expected, "{words}");
        }
    }
}
