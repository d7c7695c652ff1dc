//! The agent's certificate as its callers will see it: authority, dates,
//! purpose and name, all of which they insist on.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls_pki_types::{ServerName, UnixTime};

use super::{TlsError, TlsFiles, certificates, roots};

/// Refuses a certificate that callers of node `name` would refuse now.
pub(crate) fn verify_as_callers(files: TlsFiles<'_>, name: &str) -> Result<(), TlsError> {
    let TlsFiles { ca, certificate, key: _ } = files;
    let chain = certificates("certificate", certificate)?;
    let authority = Arc::new(roots(ca)?);
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(authority, provider)
        .build()
        .map_err(|source| TlsError::Verifier { path: ca.to_owned(), source })?;
    let refused = |source| TlsError::Refused { path: certificate.to_owned(), source };
    let name = ServerName::try_from(name)
        .map_err(|error| refused(rustls::Error::General(error.to_string())))?;
    let (own, between) = (&chain[0], &chain[1..]);
    verifier.verify_server_cert(own, between, &name, &[], UnixTime::now()).map_err(refused)?;
    Ok(())
}
