//! The command line of nomad-dtree, as it was: `dtree run|stop --job J --nomad-addr A --store filesystem …`.
//!
//! Its dependency file becomes a manifest as `dtree import` makes it, and that is carried out as `dtree run` and `dtree stop`
//! carry out any: what the older tool slept for is waited for.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use super::{
    Failure, Outcome,
    chosen::{Aim, TreeArgs},
    connect::{Connection, block_on},
    consul::Proof,
    events::Events,
    file::Source,
    import::directory,
    run::carry_out,
    tls::Files,
};
use crate::{
    consul::Consul,
    manifest::text::{Import, Jobspecs},
};

/// The options that only the older tool has, by which it is known. `--job` is enough.
const ITS_OWN: [&str; 13] = [
    "job",
    "nomad-addr",
    "server-addr",
    "store",
    "fs-depfile-path",
    "fs-jobs-path",
    "consul-addr",
    "consul-depfile-path",
    "consul-jobs-path",
    "deep",
    "root-ca-file",
    "cert-file",
    "key-file",
];

/// What it takes.
#[derive(Parser)]
#[command(
    name = "dtree",
    no_binary_name = true,
    mut_args(|arg| arg.hide_env_values(true)),
    about = "Bring a job of a dependency.json up with all that it depends on, or stop it, as nomad-dtree did",
    after_help = "This is nomad-dtree's own command line. `dtree import` makes a manifest of its dependency.json, and \
                  `dtree run FILE` takes that."
)]
struct Options {
    /// run or stop
    #[arg(value_enum)]
    verb: Verb,
    /// The job, with all that it depends on
    #[arg(long)]
    job: String,
    /// Where Nomad listens; also `--server-addr`, or what `nomad` takes it from
    #[arg(long, alias = "server-addr", value_name = "URL")]
    nomad_addr: Option<String>,
    /// Where the dependency file and the jobs are
    #[arg(long, value_enum, ignore_case = true, default_value_t = Store::Filesystem)]
    store: Store,
    /// The dependency file
    #[arg(long, env = "FS_DEP_FILEPATH", value_name = "FILE")]
    fs_depfile_path: Option<PathBuf>,
    /// The directory of the jobs: JOB.nomad
    #[arg(long, env = "FS_JOBS_PATH", value_name = "DIR")]
    fs_jobs_path: Option<PathBuf>,
    /// Where Consul listens; else what Consul's own tools take it from
    #[arg(long, env = "CONSUL_ADDRESS", value_name = "URL")]
    consul_addr: Option<String>,
    /// Consul's own word for it
    #[arg(long, env = "CONSUL_HTTP_ADDR", hide = true)]
    consul_http_addr: Option<String>,
    /// The key of the dependency file
    #[arg(long, env = "CONSUL_DEP_FILEPATH", value_name = "KEY")]
    consul_depfile_path: Option<String>,
    /// The keys of the jobs: PREFIX/JOB.nomad
    #[arg(long, env = "CONSUL_JOBS_PATH", value_name = "PREFIX")]
    consul_jobs_path: Option<String>,
    /// With stop: have Nomad forget what is stopped
    #[arg(long)]
    purge: bool,
    /// With stop: all that the job depends on, too, each after what needs it
    #[arg(long)]
    deep: bool,
    /// A file with the certificates of authorities that Nomad's and Consul's may be from
    #[arg(long, env = "ROOT_CA_FILE", value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
    /// The certificate to show to Nomad and Consul
    #[arg(long, env = "CERT_FILE", value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    consul: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    Run,
    Stop,
}

/// Where things are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Filesystem,
    Consul,
}

/// The words after the program's name with two dashes before each option, if they are those of the older tool.
pub(super) fn recognised(words: &[OsString]) -> Option<Vec<OsString>> {
    let (verb, rest) = words.split_first()?;
    if !["run", "stop"].iter().any(|known| verb == known) {
        return None;
    }
    // It took one dash for two.
    let mended: Vec<OsString> = rest
        .iter()
        .map(|word| match word.to_str() {
            Some(text) if text.strip_prefix('-').is_some_and(|name| name == "purge" || is_its_own(name)) => {
                format!("-{text}").into()
            }
            _ => word.clone(),
        })
        .collect();
    let is_it = mended.iter().filter_map(|word| word.to_str()?.strip_prefix("--")).any(is_its_own);
    is_it.then(|| std::iter::once(verb.clone()).chain(mended).collect())
}

fn is_its_own(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    ITS_OWN.contains(&name)
}

/// Carries out what the words say; an error of clap's says what is wrong with them.
pub(super) fn run(words: Vec<OsString>) -> Result<Outcome, clap::Error> {
    Ok(Options::try_parse_from(words)?.carry_out())
}

impl Options {
    fn carry_out(self) -> Outcome {
        let connection = match &self.nomad_addr {
            Some(address) => self.connection.at(address),
            None => self.connection.clone(),
        };
        let named = |path: &Option<PathBuf>| path.clone().filter(|path| path.as_os_str() != "");
        let [ca, cert, key] = [&self.root_ca_file, &self.cert_file, &self.key_file].map(named);
        let is_any = ca.is_some() || cert.is_some() || key.is_some();
        let files = is_any.then_some(Files { ca, cert, key });
        let connection = match &files {
            Some(files) => connection.with_files(files.clone()),
            None => connection,
        };
        // Where jobs from Consul's store are kept, until all is done.
        let home;
        let (source, jobspecs) = match self.store {
            Store::Filesystem => self.in_files()?,
            Store::Consul => {
                home = TempDir::new().map_err(|error| {
                    Failure::cannot(format!("dtree: cannot make a temporary directory: {error}\n"))
                })?;
                (self.in_consul(home.path(), files.as_ref())?, home.path().to_owned())
            }
        };
        // The tree is that of the file: another job of it is another part of the same tree.
        let name = stem(source.name());
        let import = Import {
            tree: Some(&name),
            target: Some(&self.job),
            jobspecs: Some(&directory(&jobspecs)?),
            adopt: true,
        };
        let manifest = Source::of(format!("{name}.dtree.hcl"), source.import(import)?.into_bytes())?;
        let aim = match self.verb {
            Verb::Run => Aim::Run,
            Verb::Stop => Aim::Stop { purge: self.purge },
        };
        let target = (self.verb == Verb::Stop).then(|| self.job.clone());
        let tree = TreeArgs::of(manifest, jobspecs, target, self.deep);
        let chosen = tree.choose(&connection, aim)?;
        let (file, events) = (format!("--job {} …", self.job), Events { are_wanted: false });
        events.end(block_on(carry_out(chosen, &connection, None, &file, aim, &[], events)))
    }

    /// The dependency file, and the directory of the jobs.
    fn in_files(&self) -> Result<(Source, PathBuf), Failure> {
        let file = self.fs_depfile_path.as_deref().filter(|path| path.as_os_str() != "");
        let file = file
            .ok_or_else(|| missing("where the dependency file is", "--fs-depfile-path", "FS_DEP_FILEPATH"))?;
        let jobs = self.fs_jobs_path.clone().filter(|path| path.as_os_str() != "");
        let jobs = jobs.ok_or_else(|| missing("where the jobs are", "--fs-jobs-path", "FS_JOBS_PATH"))?;
        Ok((Source::read(file)?, jobs))
    }

    /// The dependency file from Consul's store; the jobs there are written into the directory `home`.
    fn in_consul(&self, home: &Path, files: Option<&Files>) -> Result<Source, Failure> {
        let key = self.consul_depfile_path.as_deref().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| {
            missing("which key has the dependency file", "--consul-depfile-path", "CONSUL_DEP_FILEPATH")
        })?;
        let prefix = self.consul_jobs_path.as_deref().filter(|key| !key.is_empty());
        let prefix = prefix
            .ok_or_else(|| missing("which keys have the jobs", "--consul-jobs-path", "CONSUL_JOBS_PATH"))?;
        let given = |address: &Option<String>| address.clone().filter(|address| !address.is_empty());
        let address = given(&self.consul_addr).or_else(|| given(&self.consul_http_addr)).unwrap_or_default();
        let consul = self.consul.way(&address, files)?;
        block_on(async {
            let text = value(&consul, key).await?.ok_or_else(|| {
                Failure::cannot(format!("dtree: Consul at {} has no key {key}\n", consul.endpoint))
            })?;
            let source = Source::of(key.to_owned(), text)?;
            // Which jobs it needs is only known when it was read: all that it names are looked for.
            for job in source.names_of_jobs() {
                let path = format!("{}/{job}.nomad", prefix.trim_end_matches('/'));
                let name = format!("{job}.nomad");
                // What has no key has no file, which is told with its place. A slash would be another directory.
                if let Some(text) =
                    value(&consul, &path).await?.filter(|_| Jobspecs::is_one(&name) && !name.contains('/'))
                {
                    written(&home.join(name), &text)?;
                }
            }
            Ok(source)
        })
    }
}

/// That an option without which nothing can be done was not given.
fn missing(what: &str, option: &str, variable: &str) -> Failure {
    Failure::cannot(format!("dtree: it is not said {what}: give `{option}`, or set {variable}\n"))
}

async fn value(consul: &Consul, key: &str) -> Result<Option<Vec<u8>>, Failure> {
    let read = consul.key(key.trim_start_matches('/'), None).await;
    read.map(|read| read.value).map_err(|error| {
        let hint = error.hint().map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
        Failure::cannot(format!("dtree: {error}\n{hint}"))
    })
}

fn written(path: &Path, text: &[u8]) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::cannot(format!("dtree: cannot write {}: {error}\n", path.display())))
}

/// What a file is called without directories and endings, in letters that a name may have.
fn stem(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("dependency");
    name.replace(|c: char| c.is_whitespace() || c.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_recognised(words: &str) -> Option<String> {
        let words: Vec<OsString> = words.split(' ').map(Into::into).collect();
        let words = recognised(&words)?;
        Some(words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_older_tool_is_known_by_its_options_with_one_dash_or_two() {
        let same = "run --job nginx --store filesystem";
        assert_eq!(is_recognised(same).as_deref(), Some(same));
        assert_eq!(is_recognised("stop -job=nginx -deep").as_deref(), Some("stop --job=nginx --deep"));
        assert_eq!(is_recognised("stop -job x -purge").as_deref(), Some("stop --job x --purge"));
        assert_eq!(is_recognised("stop shop.dtree.hcl --purge"), None);
        assert_eq!(is_recognised("run shop.dtree.hcl --target api"), None);
        assert_eq!(is_recognised("import x --job y"), None);
        assert_eq!(stem("a/dependency.v1.json"), "dependency");
        assert_eq!(stem("/"), "dependency");
    }
}
