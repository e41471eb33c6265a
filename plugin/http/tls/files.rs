//! The files that certificates and keys are in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};

use super::{TlsFault, Trust};

/// The longest file that is read. A bundle of all public authorities has a quarter of that.
const MAX_FILE: u64 = 1 << 20;
/// How many files of a directory are read.
const MAX_FILES: usize = 1000;

/// What a file was like when it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

/// What the files are like now.
pub(super) fn stamps(trust: &Trust) -> Vec<Stamp> {
    let Trust { ca_file, ca_path, cert_file, key_file, .. } = trust;
    let stamp = |path: &PathBuf| {
        let seen = fs::metadata(path).ok().and_then(|about| Some((about.modified().ok()?, about.len())));
        Stamp { path: path.clone(), seen }
    };
    [ca_file, ca_path, cert_file, key_file].into_iter().flatten().map(stamp).collect()
}

/// The authorities by whose certificates servers prove who they are.
pub(super) fn roots(trust: &Trust) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &trust.ca_file {
        add(&mut roots, path, trust.names.ca_file)?;
    }
    if let Some(directory) = &trust.ca_path {
        let unread = |error: io::Error| unreadable(directory, trust.names.ca_path, &error);
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(unread)?.take(MAX_FILES) {
            let path = entry.map_err(unread)?.path();
            if path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            add(&mut roots, &path, trust.names.ca_path)?;
        }
    }
    let is_named = trust.ca_file.is_some() || trust.ca_path.is_some();
    if !is_named || trust.with_system {
        // Some that cannot be read are no concern of ours while others can.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let what = "no certificate of an authority is known here".to_owned();
        let hint = format!(
            "name a file with one by {}, or install the system's CA certificates",
            trust.names.ca_file
        );
        return Err(TlsFault::new(what, hint));
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, path: &Path, name: &str) -> Result<(), TlsFault> {
    for certificate in certificates(path, name)? {
        roots.add(certificate).map_err(|error| {
            let what =
                format!("a certificate in `{}` ({name}) is none of an authority: {error}", path.display());
            TlsFault::new(what, "write the certificate of the authority itself there".to_owned())
        })?;
    }
    Ok(())
}

/// What dtree proves itself with, if the user says so.
pub(super) fn own(
    trust: &Trust,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsFault> {
    let (Some(certificate), Some(key)) = (&trust.cert_file, &trust.key_file) else { return Ok(None) };
    let certificates = certificates(certificate, trust.names.cert_file)?;
    let name = trust.names.key_file;
    let text = read(key, name)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let what = match error {
            pem::Error::NoItemsFound => format!("`{}` ({name}) holds no key in PEM", key.display()),
            // Its words might repeat what it has read.
            _ => format!("the key in `{}` ({name}) cannot be understood", key.display()),
        };
        let hint = "write the key there, unencrypted, from `-----BEGIN` to `-----END … KEY-----`";
        TlsFault::new(what, hint.to_owned())
    })?;
    Ok(Some((certificates, key)))
}

fn certificates(path: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(path, name)?;
    let hint = || "write the certificate there from `-----BEGIN` to `-----END CERTIFICATE-----`".to_owned();
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| {
        TlsFault::new(
            format!("a certificate in `{}` ({name}) cannot be understood: {error}", path.display()),
            hint(),
        )
    })?;
    if all.is_empty() {
        return Err(TlsFault::new(
            format!("`{}` ({name}) holds no certificate in PEM", path.display()),
            hint(),
        ));
    }
    Ok(all)
}

fn read(path: &Path, name: &str) -> Result<Vec<u8>, TlsFault> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, name, &error))?;
    if !about.is_file() || about.len() > MAX_FILE {
        let what = format!("`{}` ({name}) is no file of at most 1 MiB", path.display());
        return Err(TlsFault::new(what, format!("correct {name}")));
    }
    fs::read(path).map_err(|error| unreadable(path, name, &error))
}

fn unreadable(path: &Path, name: &str, error: &io::Error) -> TlsFault {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "dtree may not read it".to_owned(),
        _ => error.to_string(),
    };
    TlsFault::new(
        format!("cannot read `{}` ({name}): {why}", path.display()),
        format!("correct {name} or the file"),
    )
}
