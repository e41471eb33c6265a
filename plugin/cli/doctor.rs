//! `dtree doctor`: is all there that dtree needs? Each finding with its remedy.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    FAILED, Failure, Outcome,
    beside::Beside,
    connect::{Connection, block_on, refused},
    file::Source,
    print,
};
use crate::{
    cluster::{JobKey, Namespace, RaftIndex, VARIABLES},
    jobspec,
    nomad::{Access, Cas, Client, DriverSight, Error, Right, Rights},
};

/// The version of this program, and of a plugin that was built with it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is looked at.
#[derive(clap::Args)]
pub(super) struct Options {
    /// A tree, or a jobspec: whether this token may do what it needs
    file: Option<PathBuf>,
    /// Let its jobspecs be anywhere on this disk: by `..`, by absolute paths, by links
    #[arg(long, requires = "file")]
    outside: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Something that was looked at.
struct Finding {
    /// What, in words.
    what: String,
    /// good, bad, or unknown where it cannot be found out from here.
    how: &'static str,
    remedy: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { what: what.into(), how: "good", remedy: None }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), how: "bad", remedy: Some(remedy.into()) }
    }

    fn unknown(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), how: "unknown", remedy: Some(remedy.into()) }
    }
}

/// Looks, and tells.
pub(super) fn run(options: &Options) -> Outcome {
    let connection = &options.connection;
    let namespace = connection.namespace()?;
    let needs = |file| needed(file, options.outside, namespace.as_ref());
    let rights = options.file.as_deref().map(needs).transpose()?;
    block_on(async {
        let client = connection.client().await?;
        let mut findings = vec![Finding::good(format!("Nomad answers at {}", client.endpoint()))];
        match client.drivers().await {
            Ok(drivers) => findings.extend(drivers_found(&drivers)),
            Err(error @ Error::Unidentified { .. }) => findings.push(Finding::bad(
                error.chain(),
                "set NOMAD_TOKEN to the secret of a token: `nomad acl token create` makes one",
            )),
            Err(error) if error.is_denied() => findings.push(Finding::unknown(
                "whether clients have the driver: this token may not list clients",
                "give it a policy with the line `node { policy = \"read\" }`",
            )),
            Err(error) => return Err(refused(&error)),
        }
        if let Some(rights) = &rights {
            findings.extend(rights_found(&client, rights).await?);
        }
        tell(&findings, options.json)
    })
}

fn tell(findings: &[Finding], is_json: bool) -> Outcome {
    let is_well = findings.iter().all(|finding| finding.how != "bad");
    if is_json {
        let found: Vec<Value> = findings
            .iter()
            .map(|finding| json!({ "what": finding.what, "how": finding.how, "remedy": finding.remedy }))
            .collect();
        print(&format!("{:#}\n", json!({ "well": is_well, "findings": found })))?;
    } else {
        let mut text = String::new();
        for finding in findings {
            let mark = match finding.how {
                "good" => "ok ",
                "bad" => "BAD",
                _ => "?  ",
            };
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{mark}  {}", finding.what);
            if let Some(remedy) = &finding.remedy {
                for line in remedy.lines() {
                    let _ = writeln!(text, "       {line}");
                }
            }
        }
        print(&text)?;
    }
    if is_well { Ok(()) } else { Err(Failure { why: String::new(), code: FAILED }) }
}

/// What a file needs, for whoever carries it out.
fn needed(file: &Path, may_leave: bool, namespace: Option<&Namespace>) -> Result<Rights, Failure> {
    let source = Source::read(file)?.with_outside(may_leave);
    let mut rights = Rights::default();
    for good in source.understand()? {
        let owner = &good.declared.owner;
        let home = namespace.cloned().or_else(|| owner.namespace.as_deref().map(Into::into));
        let own =
            JobKey { namespace: home.unwrap_or_else(|| "default".into()), job: owner.job.as_str().into() };
        let manifest = good.plan.manifest();
        let beside = Beside::of(file, manifest, may_leave);
        rights.append(jobspec::rights(manifest, &own, &|jobspec| beside.namespace_of(jobspec)));
    }
    Ok(rights)
}

/// What the clients say of the driver.
fn drivers_found(drivers: &[DriverSight]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ready = || drivers.iter().filter(|client| client.is_ready);
    if ready().next().is_none() {
        findings.push(Finding::bad("no client is ready", "`nomad node status` shows them; start one"));
    }
    let (mut good, mut without) = (Vec::new(), Vec::new());
    for client in ready() {
        let name = &client.client;
        let Some(driver) = client.driver.as_ref().filter(|driver| driver.is_detected) else {
            without.push(name.as_str());
            continue;
        };
        if !driver.is_healthy {
            let why = &driver.description;
            findings.push(Finding::bad(
                format!("the driver on client {name} is not healthy: {why}"),
                "mend the `plugin \"dtree\"` block of its configuration, or what it names, and restart the agent",
            ));
            continue;
        }
        match driver.version.as_deref() {
            Some(VERSION) => good.push(name.as_str()),
            Some(other) => findings.push(Finding::bad(
                format!("the driver on client {name} is version {other}, and this is {VERSION}"),
                "put this binary into its plugin_dir, under another name first and then renamed, and restart the agent",
            )),
            None => findings.push(Finding::unknown(
                format!("the driver on client {name} is healthy, and does not say which version it is"),
                "an agent says so some seconds after it has started",
            )),
        }
    }
    if !good.is_empty() {
        findings.push(Finding::good(format!("the driver {VERSION} is healthy on {}", good.join(", "))));
    }
    if !without.is_empty() {
        let all = if good.is_empty() { "" } else { " (tasks of dtree are only placed on the others)" };
        let finding = format!("the driver is missing on {}{all}", without.join(", "));
        let remedy = "copy dtree into the client's plugin_dir, write `plugin \"dtree\" {}` into its configuration, and restart the agent";
        findings.push(if good.is_empty() {
            Finding::bad(finding, remedy)
        } else {
            Finding::unknown(finding, remedy)
        });
    }
    findings
}

/// Whether this token has what is needed, by asking for what changes nothing.
async fn rights_found(client: &Client, rights: &Rights) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let mut unproven: BTreeMap<&Namespace, Vec<&str>> = BTreeMap::new();
    for (namespace, right) in rights.rights() {
        let what = format!("{} in namespace {namespace}", right.name());
        let nobodys =
            JobKey { namespace: namespace.clone(), job: "dtree-doctor-asks-for-nobodys-job".into() };
        let answer = match right {
            Right::ListJobs => client.jobs(namespace).await.map(drop),
            Right::ReadJob => client.job(&nobodys).await.map(drop),
            Right::SubmitJob => client.prove_submit(namespace).await,
            Right::DispatchJob => client.prove_dispatch(&nobodys).await,
            // What is needed for these is an allocation.
            Right::ReadLogs | Right::AllocLifecycle | Right::AllocExec => {
                unproven.entry(namespace).or_default().push(right.name());
                continue;
            }
        };
        findings.push(judged(answer, &what, || rights.line(namespace))?);
    }
    for (namespace, path, access) in rights.variables() {
        // Nobody's name begins with a tilde, and nothing is written: no variable was last written so early.
        let asked = path.replace('*', "~doctor");
        for access in access {
            let name = format!("{access:?}").to_lowercase();
            let what = format!("{name} on the variables {path} in namespace {namespace}");
            let at = Cas::At(RaftIndex(1));
            let answer = match access {
                Access::List => client.list_variables(namespace, &asked).await.map(drop),
                Access::Read => client.variable(namespace, &asked).await.map(drop),
                Access::Write if path.starts_with(VARIABLES) => {
                    let items = [("asked".to_owned(), "by dtree doctor".to_owned())].into();
                    client.put_variable(namespace, &asked, &items, at).await.map(drop)
                }
                Access::Destroy if path.starts_with(VARIABLES) => {
                    client.delete_variable(namespace, &asked, at).await.map(drop)
                }
                // It is the user's own.
                Access::Write | Access::Destroy => continue,
            };
            findings.push(judged(answer, &what, || rights.line(namespace))?);
        }
    }
    for (namespace, names) in unproven {
        findings.push(Finding::unknown(
            format!("{} in namespace {namespace}: it takes an allocation to find out", names.join(", ")),
            "`dtree policy FILE` grants it",
        ));
    }
    Ok(findings)
}

/// What an answer says of a right. Whatever is no denial was allowed.
fn judged(answer: Result<(), Error>, what: &str, line: impl FnOnce() -> String) -> Result<Finding, Failure> {
    match answer {
        Err(error) if error.is_denied() => Ok(Finding::bad(
            format!("this token lacks {what}"),
            format!("`dtree policy FILE` prints the policy; in one line:\n{}", line()),
        )),
        Err(error @ (Error::Unreachable { .. } | Error::TimedOut { .. })) => Err(refused(&error)),
        Ok(()) | Err(_) => Ok(Finding::good(format!("this token has {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::Driver;

    fn client(name: &str, driver: Option<(bool, &str, Option<&str>)>) -> DriverSight {
        let driver = driver.map(|(is_healthy, description, version)| Driver {
            is_detected: true,
            is_healthy,
            description: description.to_owned(),
            version: version.map(str::to_owned),
        });
        DriverSight { client: name.to_owned(), is_ready: true, driver }
    }

    fn said(drivers: &[DriverSight]) -> String {
        let found = drivers_found(drivers);
        let lines: Vec<String> =
            found.iter().map(|finding| format!("{}: {}", finding.how, finding.what)).collect();
        lines.join("\n")
    }

    #[test]
    fn each_client_is_told_by_what_is_wrong_with_it() {
        let good = client("a", Some((true, "", Some(VERSION))));
        let drivers = [
            good.clone(),
            client("b", None),
            client("c", Some((false, "nomad.address: no address", Some(VERSION)))),
            client("d", Some((true, "", Some("0.0.9")))),
            client("e", Some((true, "", None))),
            DriverSight { is_ready: false, ..client("f", None) },
        ];
        insta::assert_snapshot!(said(&drivers), @"
        bad: the driver on client c is not healthy: nomad.address: no address
        bad: the driver on client d is version 0.0.9, and this is 0.1.0
        unknown: the driver on client e is healthy, and does not say which version it is
        good: the driver 0.1.0 is healthy on a
        unknown: the driver is missing on b (tasks of dtree are only placed on the others)
        ");
        insta::assert_snapshot!(said(&[client("b", None)]), @"bad: the driver is missing on b");
        insta::assert_snapshot!(said(&[DriverSight { is_ready: false, ..good }]), @"bad: no client is ready");
    }
}
