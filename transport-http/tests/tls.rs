//! https and wss: a real handshake with a proxy that ends TLS before the server, as operators run it.

#![cfg(all(feature = "client", feature = "server", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use syncline::call::{Call, Push, Reply};
use syncline::client::{CallError, Transport as _};
use syncline::oplog::Sealing;
use syncline::store::SignalSource as _;
use syncline_transport_http::client::{ClientError, ClientOptions, HttpClient, Trust};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority of a test's own.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Ends TLS for `name` before the server at `behind`; the port it listens on.
async fn proxy(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, behind: SocketAddr) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not believe the certificate ends here.
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

fn client(port: u16, trust: Trust) -> HttpClient {
    HttpClient::new(ClientOptions::new(format!("https://localhost:{port}"), OPERATOR).trust(trust)).expect("a client")
}

fn only(authority: &CertifiedIssuer<'static, KeyPair>) -> Trust {
    Trust::Only(authority.pem().into_bytes())
}

#[tokio::test]
async fn calls_and_wakes_go_through_tls() {
    let rig = Rig::start().await;
    let authority = authority();
    let client = client(proxy(&authority, "localhost", rig.addr).await, only(&authority));
    rig.ask(Call::CreateLog { log: LOG, sealing: Sealing::Optional }).await;
    let mut wakes = client.wakes(KEY).await.expect("a socket");
    assert!(wakes.next().await.is_some(), "where the log ends now");
    let ops = vec![op(1, 1, json_payload("1"))];
    let push = Call::Push(Push { log: LOG, request: None, cursor: None, atomic: false, ops });
    assert!(matches!(client.call(push).await.expect("an answer"), Reply::Pushed(_)));
    assert!(tokio::time::timeout(PATIENCE, wakes.next()).await.expect("in time").is_some());
    assert_eq!(rig.end().await.get(), 1);
}

/// The token goes to nobody whose certificate is another's, or by an authority that was not named.
#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_never_spoken_to() {
    let rig = Rig::start().await;
    let (ours, theirs) = (authority(), authority());
    let strange = client(proxy(&theirs, "localhost", rig.addr).await, only(&ours));
    let misnamed = client(proxy(&ours, "elsewhere.test", rig.addr).await, only(&ours));
    let unknown = client(proxy(&ours, "localhost", rig.addr).await, Trust::System);
    for client in [strange, misnamed, unknown] {
        let error = client.call(Call::Status(LOG)).await.expect_err("not believed");
        assert!(matches!(error, CallError::Unreachable(_)), "{error:?}");
        let error = client.wakes(KEY).await.expect_err("not believed");
        assert!(matches!(error, CallError::Unreachable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn plain_text_where_tls_is_spoken_and_tls_where_plain_text_is_are_said_to_be_unreachable_or_cut() {
    let rig = Rig::start().await;
    let authority = authority();
    let secure = proxy(&authority, "localhost", rig.addr).await;
    let plain = HttpClient::new(ClientOptions::new(format!("http://localhost:{secure}"), OPERATOR)).unwrap();
    assert!(matches!(plain.call(Call::Status(LOG)).await, Err(CallError::Interrupted(_) | CallError::Unreachable(_))));
    let https = client(rig.addr.port(), only(&authority));
    assert!(matches!(https.call(Call::Status(LOG)).await, Err(CallError::Unreachable(_))));
}

#[test]
fn what_names_no_authority_makes_no_client() {
    for text in ["", "not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = ClientOptions::new("https://localhost:1", OPERATOR).trust(Trust::Only(text.into()));
        assert!(matches!(HttpClient::new(options), Err(ClientError::NoRoots(_))), "{text:?}");
    }
    for address in ["ftp://localhost:1", "https://", "https://localhost:1/path", "localhost:1"] {
        assert!(matches!(HttpClient::new(ClientOptions::new(address, OPERATOR)), Err(ClientError::Address(_))));
    }
}
