//! Throw-away certificates for a lab: one CA, a server certificate a node, and client
//! certificates. Valid for sixty days; nothing here touches the disk.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};

/// How long a lab's certificates are valid: longer than any lab should stand.
const VALID: Duration = Duration::days(60);
/// How far the start of validity lies back, so that a clock a little behind still accepts it.
const BACKDATED: Duration = Duration::minutes(5);

/// A certificate authority that can issue for one cluster.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Who a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The agent of one node.
    Agent { node: String },
    /// A person in one of the roles `reader`, `operator`, `admin`.
    Person { role: String, person: String },
}

/// When a certificate is valid; `Validity::lab` but for tests of refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate for `{subject}`")]
pub struct PkiError {
    subject: String,
    source: rcgen::Error,
}

impl Validity {
    /// Sixty days from `now`.
    pub fn lab(now: OffsetDateTime) -> Self {
        Self { from: now - BACKDATED, to: now + VALID }
    }
}

impl Authority {
    pub fn new(name: &str, validity: Validity) -> Result<Self, PkiError> {
        let build = || {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = params(name, validity, Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?.pem();
            Ok(Self { issuer: Issuer::new(params, key), certificate })
        };
        build().map_err(|source| PkiError { subject: name.to_owned(), source })
    }

    /// The CA's certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues for `subject` in `cluster`: exactly one URI SAN, and for an agent the DNS name of its
    /// node.
    pub fn issue(
        &self,
        cluster: &str,
        subject: &Subject,
        validity: Validity,
    ) -> Result<Identity, PkiError> {
        let (uri, names, usage) = match subject {
            Subject::Agent { node } => (
                format!("quaymaster://{cluster}/agent/{node}"),
                vec![node.clone()],
                ExtendedKeyUsagePurpose::ServerAuth,
            ),
            Subject::Person { role, person } => (
                format!("quaymaster://{cluster}/{role}/{person}"),
                Vec::new(),
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
        };
        let build = || {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = params(&uri, validity, names)?;
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            params.use_authority_key_identifier_extension = true;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
        };
        build().map_err(|source| PkiError { subject: uri.clone(), source })
    }
}

fn params(
    name: &str,
    validity: Validity,
    dns_names: Vec<String>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(dns_names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = validity.from;
    params.not_after = validity.to;
    Ok(params)
}
