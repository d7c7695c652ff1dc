//! What can go wrong between a client and a registry, in words with a remedy. Pure.

use serde::Serialize;

/// Why a question got no useful answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Nothing came back.
    #[error("{at} does not answer: {problem}")]
    Unreachable {
        /// Scheme, host and port.
        at: String,
        /// Why.
        problem: String,
    },
    /// Its certificate is not to be trusted.
    #[error("the certificate of {at} {problem}")]
    Certificate {
        /// Scheme, host and port.
        at: String,
        /// What is wrong with it.
        problem: CertificateTrouble,
    },
    /// It sends its clients to somebody else.
    #[error("{what} was answered with {status} and a way to {to}, which was not followed")]
    Elsewhere {
        /// The question.
        what: String,
        /// HTTP status.
        status: u16,
        /// Where it leads.
        to: String,
    },
    /// User or password are wrong.
    #[error("the login of {user} is refused: {said}")]
    Login {
        /// Who.
        user: String,
        /// The registry's words.
        said: String,
    },
    /// Another answer than the protocol wants.
    #[error("{what} was answered with {status}{}", in_words(.code, .said))]
    Answer {
        /// The question.
        what: String,
        /// HTTP status.
        status: u16,
        /// The registry's code, such as `MANIFEST_UNKNOWN`; may be empty.
        code: String,
        /// The registry's words; may be empty.
        said: String,
    },
    /// It is not there.
    #[error("there is no repository {repository}")]
    NoRepository {
        /// Which.
        repository: String,
    },
    /// An answer that cannot be read.
    #[error("the answer to {what} cannot be used: {problem}")]
    Garbled {
        /// The question.
        what: String,
        /// Why.
        problem: String,
    },
}

fn in_words(code: &str, said: &str) -> String {
    match (code, said) {
        ("", "") => String::new(),
        ("", said) => format!(": {said}"),
        (code, "") => format!(": {code}"),
        (code, said) => format!(": {code}, {said}"),
    }
}

/// What is wrong with a certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateTrouble {
    /// Nobody who is trusted stands behind it.
    #[error("is self-signed or of an authority that this machine does not know")]
    UnknownIssuer,
    /// It is somebody else's.
    #[error("is not for the name {name}")]
    OtherName {
        /// By which it was asked.
        name: String,
    },
    /// Its time is over, or has not come.
    #[error("is not valid today")]
    NotValidNow,
    /// Something else.
    #[error("cannot be used: {0}")]
    Other(String),
}

impl Trouble {
    /// Whether it may be gone when asked again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Answer { status, .. } => matches!(status, 500 | 502 | 503 | 504),
            Self::Unreachable { .. } => true,
            Self::Certificate { .. }
            | Self::Elsewhere { .. }
            | Self::Login { .. }
            | Self::NoRepository { .. }
            | Self::Garbled { .. } => false,
        }
    }

    /// The HTTP status, where there was an answer that was understood.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } | Self::Elsewhere { status, .. } => Some(*status),
            Self::Login { .. } => Some(401),
            Self::NoRepository { .. } => Some(404),
            Self::Unreachable { .. } | Self::Certificate { .. } | Self::Garbled { .. } => None,
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreachable { at, .. } => {
                format!("see that {at} can be reached from this machine, and that Quay listens there")
            }
            Self::Certificate { problem, .. } => problem.remedy().to_owned(),
            Self::Elsewhere { .. } => "see why it sends its clients there: PREFERRED_URL_SCHEME, \
                SERVER_HOSTNAME and EXTERNAL_TLS_TERMINATION in config.yaml, and the proxies before it"
                .to_owned(),
            Self::Login { user, .. } => format!(
                "put the present password or robot token of {user} into the file that \
                 verify.credentials in cluster.yaml names"
            ),
            Self::NoRepository { .. } => "see verify.samples in cluster.yaml".to_owned(),
            Self::Answer { status: 401 | 403, .. } => {
                "give the robot write permission on the repository that verify.repository names"
                    .to_owned()
            }
            Self::Answer { status: 405, .. } => {
                "the registry is read-only: see REGISTRY_STATE in config.yaml".to_owned()
            }
            Self::Answer { .. } | Self::Garbled { .. } => {
                "read the log of the Quay container at the time of the question".to_owned()
            }
        }
    }
}

impl CertificateTrouble {
    fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "name the authority's certificate (PEM): verify.ca in cluster.yaml"
            }
            Self::OtherName { .. } => {
                "name the registry as its clients do: verify.public in cluster.yaml; or give Quay \
                 a certificate for this name"
            }
            Self::NotValidNow => "renew it: ssl.cert beside config.yaml, or the load balancer's",
            Self::Other(_) => "renew it",
        }
    }
}
