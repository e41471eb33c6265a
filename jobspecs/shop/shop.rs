//! Stand-ins for the programs of a small shop, so that its jobspecs need nothing but this one file.
//!
//! ```text
//! customer ──HTTP──▶ nginx ──HTTP──▶ api ──lines over TCP──▶ postgres ◀──lines over TCP── postgres-setup
//! ```
//!
//! They are as unforgiving as the real ones: `postgres` takes a while before it listens, `postgres-setup` fails without
//! it, `api` fails without the row that `postgres-setup` writes, `nginx` and `customer` fail without their upstream. Nobody
//! retries: whoever starts them in the wrong order sees them fail.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that Nomad runs speaks on stdout and stderr"
)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What a database does before it listens: recover its log, warm its caches.
const DATABASE_START_UP: Duration = Duration::from_secs(3);
/// Long enough for a loopback connection on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The row that the set-up writes and the api serves.
const ROW: (&str, &str) = ("greeting", "hello from postgres");

const USAGE: &str = "usage: shop postgres --listen ADDR
       shop postgres-setup --postgres ADDR
       shop api --listen ADDR --postgres ADDR
       shop nginx --listen ADDR --upstream ADDR
       shop customer --upstream ADDR";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let flag = |name: &str| {
        let mut from_there = rest.iter().skip_while(|arg| *arg != name);
        from_there.nth(1).cloned().ok_or_else(|| io::Error::other(format!("{name} is missing\n{USAGE}")))
    };
    let run = || match program.as_str() {
        "postgres" => postgres(&flag("--listen")?),
        "postgres-setup" => postgres_setup(&flag("--postgres")?),
        "api" => api(&flag("--listen")?, &flag("--postgres")?),
        "nginx" => nginx(&flag("--listen")?, &flag("--upstream")?),
        "customer" => customer(&flag("--upstream")?),
        other => Err(io::Error::other(format!("there is no program `{other}` in the shop\n{USAGE}"))),
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A store with two commands, `SET key value` and `GET key`, one to a line.
fn postgres(listen: &str) -> io::Result<()> {
    println!("postgres: starting up, ready in {} s", DATABASE_START_UP.as_secs());
    thread::sleep(DATABASE_START_UP);
    let listener = TcpListener::bind(listen)?;
    println!("postgres: listening on {listen}");
    let rows: Mutex<BTreeMap<String, String>> = Mutex::default();
    thread::scope(|scope| {
        for client in listener.incoming() {
            let rows = &rows;
            // A client that goes away (a health check does) is not the database's problem.
            scope.spawn(move || client.and_then(|client| serve_rows(&client, rows)).ok());
        }
    });
    Ok(())
}

fn serve_rows(client: &TcpStream, rows: &Mutex<BTreeMap<String, String>>) -> io::Result<()> {
    let mut writer = client;
    for line in BufReader::new(client).lines() {
        let line = line?;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match line.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
            ["SET", key, value] => {
                println!("postgres: {line}");
                rows.insert((*key).to_owned(), (*value).to_owned());
                "OK".to_owned()
            }
            ["GET", key] => rows.get(*key).map_or_else(|| "NONE".to_owned(), |value| format!("ROW {value}")),
            _ => "ERROR what?".to_owned(),
        };
        drop(rows);
        writeln!(writer, "{answer}")?;
    }
    Ok(())
}

/// One command to the store, and its answer.
fn ask(postgres: &str, command: &str) -> io::Result<String> {
    let mut connection = connect(postgres)?;
    writeln!(connection, "{command}")?;
    let mut answer = String::new();
    BufReader::new(&connection).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot reach {address}: {error}")))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Writes the row, once.
fn postgres_setup(postgres: &str) -> io::Result<()> {
    let (key, value) = ROW;
    match ask(postgres, &format!("SET {key} {value}"))?.as_str() {
        "OK" => {
            println!("postgres-setup: row `{key}` written");
            Ok(())
        }
        answer => Err(io::Error::other(format!("postgres at {postgres} answered {answer:?}"))),
    }
}

/// Serves the row over HTTP; will not start without it.
fn api(listen: &str, postgres: &str) -> io::Result<()> {
    let read_row = || match ask(postgres, &format!("GET {}", ROW.0))?.strip_prefix("ROW ") {
        Some(row) => Ok(row.to_owned()),
        None => Err(io::Error::other(format!("row `{}` is missing: was postgres_setup run?", ROW.0))),
    };
    println!("api: found row `{}`: {}", ROW.0, read_row()?);
    serve_http("api", listen, read_row)
}

/// Forwards to its upstream; will not start without it.
fn nginx(listen: &str, upstream: &str) -> io::Result<()> {
    println!("nginx: upstream {upstream} says: {}", fetch(upstream)?);
    serve_http("nginx", listen, || fetch(upstream))
}

/// Looks once, and leaves.
fn customer(upstream: &str) -> io::Result<()> {
    println!("customer: {upstream} says: {}", fetch(upstream)?);
    Ok(())
}

/// The body of `GET /`, or an error for everything but 200.
fn fetch(address: &str) -> io::Result<String> {
    let mut connection = connect(address)?;
    write!(connection, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!(
            "{address} answered {:?}",
            answer.lines().next().unwrap_or_default()
        ))),
    }
}

/// Answers every request with what `content` has to say at that moment, or 502.
fn serve_http(name: &str, listen: &str, content: impl Fn() -> io::Result<String> + Sync) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    println!("{name}: listening on {listen}");
    thread::scope(|scope| {
        for client in listener.incoming() {
            let content = &content;
            scope.spawn(move || client.and_then(|client| answer(&client, content)).ok());
        }
    });
    Ok(())
}

fn answer(mut client: &TcpStream, content: impl Fn() -> io::Result<String>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break; // the end of the request's head; a GET has no body
        }
    }
    let (status, body) =
        content().map_or_else(|error| ("502 Bad Gateway", error.to_string()), |body| ("200 OK", body));
    let length = body.len();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
