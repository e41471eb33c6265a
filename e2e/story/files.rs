//! Files that a story serves over HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::Server;

/// An HTTP server on loopback with a few files.
#[derive(Debug)]
pub(crate) struct Files(Server);

impl Files {
    /// Names, without a slash, and texts.
    pub(crate) fn serve(files: BTreeMap<String, String>) -> Self {
        Self(Server::new(move |client| {
            // A client that goes away is no concern of ours.
            let _sent = answer(client, &files);
        }))
    }

    /// Where a file is.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.0.address())
    }
}

fn answer(mut client: TcpStream, files: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let n = client.read(&mut request)?;
    let request = String::from_utf8_lossy(request.get(..n).unwrap_or_default()).into_owned();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = path.trim_start_matches('/').split('?').next().unwrap_or_default();
    let (status, text) = files.get(name).map_or(("404 Not Found", ""), |text| ("200 OK", text.as_str()));
    let length = text.len();
    let body = if method == "HEAD" { "" } else { text };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
