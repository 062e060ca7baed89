//! TLS: whom a client believes that it is the server.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, pem};
use rustls::{ClientConfig, RootCertStore};

use super::ClientError;

/// Which authorities a client believes when the address begins with `https`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Those of the operating system.
    #[default]
    System,
    /// These and no other: an operator's own, for example. Certificates in PEM form, one or more; anything else in the
    /// text is passed over.
    Only(Vec<u8>),
}

/// TLS 1.2 and 1.3, the server's certificate checked against `trust` and against the name in the address.
pub(super) fn config(trust: &Trust) -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            // Systems carry some that nobody can read any more; what counts is that one can be.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let first = found.errors.into_iter().next();
                return Err(ClientError::NoRoots(first.map(|error| error.to_string()).unwrap_or_default()));
            }
        }
        Trust::Only(text) => {
            let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
            let certificates = read.map_err(|error| ClientError::NoRoots(error.to_string()))?;
            if certificates.is_empty() {
                return Err(ClientError::NoRoots("no certificate in the text".into()));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| ClientError::NoRoots(error.to_string()))?;
            }
        }
    }
    with(roots).map(Arc::new)
}

/// For a client that will not need it: it believes nobody.
pub(super) fn unused() -> Result<ClientConfig, ClientError> {
    with(RootCertStore::empty())
}

fn with(roots: RootCertStore) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ClientError::Http(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
