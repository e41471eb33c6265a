//! Handshakes over the loopback, with certificates that are made for the test.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::http::{Endpoint, open};

/// An authority, whose certificate is in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issues(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// A server that answers each request with 200 over TLS. It ends with the token.
async fn server(pair: &Pair, clients: Option<&Authority>, stop: &CancellationToken) -> u16 {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
    };
    let certificates = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(certificates, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async move {
        loop {
            let (stream, _peer) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            if matches!(stream.read(&mut head).await, Ok(1..)) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                // Who goes away is no concern of ours.
                stream.write_all(answer).await.ok();
                stream.shutdown().await.ok();
            }
        }
    };
    TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
    port
}

/// A server that takes whatever is sent for a bad request in plain HTTP.
async fn plain(stop: &CancellationToken) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async move {
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let (Ok(_) | Err(_)) = stream.read(&mut head).await;
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
                .await
                .ok();
        }
    };
    TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
    port
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The status that is answered, or what is wrong, with what is to be done about it.
async fn get(trust: Trust, host: &str, port: u16) -> Result<u16, String> {
    let endpoint = Endpoint::Tls { host: host.to_owned(), port, tls: Tls::new(trust) };
    let said = |error: &(dyn std::error::Error + 'static)| match endpoint.fault(error) {
        Some(fault) => format!("{fault}\n  → {}", fault.hint()),
        None => format!("no fault of TLS's: {error}"),
    };
    let io = endpoint.connect().await.map_err(|error| said(&error))?;
    let request = Request::get("/").header("Host", host).body(Full::<Bytes>::default()).unwrap();
    let mut opened = open(io, request).await.map_err(|error| said(&error))?;
    while let Some(data) = opened.data().await {
        data.map_err(|error| said(&error))?;
    }
    Ok(opened.response.status().as_u16())
}

#[tokio::test]
async fn both_sides_prove_who_they_are_and_what_is_wrong_is_said() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| Some(file(directory.path(), name, text));
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let ca = Trust { ca_file: at("ca.pem", &ours.pem), ..Trust::default() };
    let others = Trust { ca_file: at("other.pem", &theirs.pem), ..Trust::default() };
    let good = server(&ours.issues("localhost", |_| ()), None, &stop).await;
    let expired = ours.issues("localhost", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let expired = server(&expired, None, &stop).await;
    let early = ours.issues("localhost", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2099, 1, 1));
    });
    let early = server(&early, None, &stop).await;
    let named = server(&ours.issues("server.global.nomad", |_| ()), None, &stop).await;
    let mutual = server(&ours.issues("localhost", |_| ()), Some(&ours), &stop).await;

    let client = ours.issues("client", |_| ());
    let foreign = theirs.issues("client", |_| ());
    let shows = |pair: &Pair, name: &str| Trust {
        cert_file: at(&format!("{name}.pem"), &pair.certificate),
        key_file: at(&format!("{name}-key.pem"), &pair.key),
        ..ca.clone()
    };
    let (own, strange) = (shows(&client, "client"), shows(&foreign, "foreign"));

    assert_eq!(get(ca.clone(), "localhost", good).await, Ok(200));
    assert_eq!(get(own.clone(), "localhost", mutual).await, Ok(200));
    assert_eq!(
        get(Trust { server_name: Some("server.global.nomad".into()), ..ca.clone() }, "localhost", named)
            .await,
        Ok(200)
    );
    let blindly = Trust { skip_verify: true, ..Trust::default() };
    assert_eq!(get(blindly, "localhost", expired).await, Ok(200), "because the user says so");
    let both = Trust { with_system: true, ..ca.clone() };
    assert_eq!(get(both, "localhost", good).await, Ok(200));
    let in_directory = Trust { ca_path: Some(directory.path().join("cas")), ..Trust::default() };
    fs::create_dir(directory.path().join("cas")).unwrap();
    fs::write(directory.path().join("cas/1.pem"), &ours.pem).unwrap();
    assert_eq!(get(in_directory, "localhost", good).await, Ok(200));

    let plain = plain(&stop).await;
    let mut words = Vec::new();
    let swapped = Trust { key_file: strange.key_file.clone(), ..own.clone() };
    let absent = Trust { ca_file: Some(directory.path().join("nowhere.pem")), ..Trust::default() };
    let empty = Trust { ca_file: at("empty.pem", "nothing"), ..Trust::default() };
    let no_key = Trust { key_file: at("no-key.pem", &client.certificate), ..own.clone() };
    for (what, trust, port) in [
        ("wrong CA", others, good),
        ("expired", ca.clone(), expired),
        ("not yet valid", ca.clone(), early),
        ("another name", ca.clone(), named),
        ("without a certificate", ca.clone(), mutual),
        ("with a stranger's", strange, mutual),
        ("key of another", swapped, mutual),
        ("CA file absent", absent, good),
        ("CA file empty", empty, good),
        ("no key in the key's file", no_key, mutual),
        ("plain HTTP", ca.clone(), plain),
    ] {
        let answer = timeout(Duration::from_mins(1), get(trust, "localhost", port)).await;
        words.push(format!("{what}: {}", answer.expect("an end").unwrap_err()));
    }
    let words = words.join("\n").replace(&directory.path().display().to_string(), "DIR");
    insta::assert_snapshot!(words, @r"
    wrong CA: the certificate of localhost was issued by an authority that is not in `DIR/other.pem` (ca_file)
      → name the file with that authority's certificate by ca_file
    expired: the certificate of localhost has expired
      → renew it there, or correct the clock of this machine
    not yet valid: the certificate of localhost is not valid yet
      → correct the clock of this machine, or of the one that issued it
    another name: the certificate of localhost is not for `localhost`, but for `server.global.nomad`
      → write one of these into the address, or name it by tls_server_name
    without a certificate: localhost wants to see a certificate of ours, and none is configured
      → name one that it knows by cert_file, and its key by key_file
    with a stranger's: localhost does not take our certificate (DIR/foreign.pem): UnknownCA
      → check that it has not expired, and that an authority that localhost knows has issued it
    key of another: the key in `DIR/foreign-key.pem` (key_file) is not that of the certificate in `DIR/client.pem` (cert_file)
      → name the two that were made together; the certificate comes first in its file
    CA file absent: cannot read `DIR/nowhere.pem` (ca_file): it is not there
      → correct ca_file or the file
    CA file empty: `DIR/empty.pem` (ca_file) holds no certificate in PEM
      → write the certificate there from `-----BEGIN` to `-----END CERTIFICATE-----`
    no key in the key's file: `DIR/no-key.pem` (key_file) holds no key in PEM
      → write the key there, unencrypted, from `-----BEGIN` to `-----END … KEY-----`
    plain HTTP: localhost does not speak TLS there
      → write `http://` in the address, or name the port that speaks TLS
    ");
}

#[tokio::test]
async fn a_renewed_authority_counts_from_the_next_connection_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let port = server(&new.issues("localhost", |_| ()), None, &stop).await;
    let tls =
        Tls::new(Trust { ca_file: Some(file(directory.path(), "ca.pem", &old.pem)), ..Trust::default() });
    let connect = async || {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tls.over("localhost", stream).await.map(drop)
    };
    assert!(connect().await.is_err());
    file(directory.path(), "ca.pem", &format!("{}\n{}", old.pem, new.pem));
    assert_eq!(connect().await, Ok(()));
}

#[test]
fn nomads_variables_say_what_to_trust() {
    let trust = |variables: &[(&str, &str)]| {
        let variables: std::collections::BTreeMap<_, _> = variables.iter().copied().collect();
        Trust::from_nomads_variables(|name| variables.get(name).map(|value| (*value).to_owned()))
    };
    assert!(trust(&[]).unwrap().is_empty());
    let all = trust(&[
        ("NOMAD_CACERT", "ca.pem"),
        ("NOMAD_CAPATH", "cas"),
        ("NOMAD_CLIENT_CERT", "c.pem"),
        ("NOMAD_CLIENT_KEY", "k.pem"),
        ("NOMAD_TLS_SERVER_NAME", "server.global.nomad"),
        ("NOMAD_SKIP_VERIFY", "1"),
    ]);
    let all = all.unwrap();
    assert_eq!(all.ca_file, Some("ca.pem".into()));
    assert_eq!((all.cert_file, all.key_file), (Some("c.pem".into()), Some("k.pem".into())));
    assert!(all.skip_verify && all.ca_path.is_some() && all.server_name.is_some());
    assert!(!trust(&[("NOMAD_SKIP_VERIFY", "false")]).unwrap().skip_verify);
    let wrong = [
        trust(&[("NOMAD_CLIENT_CERT", "c.pem")]),
        trust(&[("NOMAD_CLIENT_KEY", "k.pem"), ("NOMAD_TLS_SERVER_NAME", "not a name")]),
        trust(&[("NOMAD_SKIP_VERIFY", "yes")]),
    ];
    let wrong: Vec<String> = wrong.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(wrong.join("\n"), @r#"
    NOMAD_CLIENT_CERT is of no use without its key: name it by NOMAD_CLIENT_KEY
    NOMAD_CLIENT_KEY is of no use without its certificate: name it by NOMAD_CLIENT_CERT; NOMAD_TLS_SERVER_NAME = "not a name" is no name that a certificate could have
    NOMAD_SKIP_VERIFY is "yes", which is neither `true` nor `false`
    "#);
    let consul = |name: &str| (name == "CONSUL_HTTP_SSL_VERIFY").then(|| "false".to_owned());
    assert!(Trust::from_consuls_variables(consul).unwrap().skip_verify);
}
