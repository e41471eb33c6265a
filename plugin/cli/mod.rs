//! The command line: one file for each command.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 the run failed, or what was asked about is not so, 2 dtree could not
//! do its work, or what it was given is wrong, 130 the user wanted an end.

mod approvals;
mod approve;
mod beside;
mod check;
mod chosen;
mod cluster;
mod connect;
mod consul;
mod doctor;
mod events;
mod file;
mod graph;
mod import;
mod look;
mod man;
mod named;
mod older;
mod plan;
mod policy;
mod run;
mod screen;
mod sight;
mod status;
mod subject;
mod submit;
mod table;
mod tls;
mod wait;
mod why;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

/// The run failed.
const FAILED: u8 = 1;
/// dtree could not do its work.
const CANNOT: u8 = 2;
/// The user wanted an end.
const INTERRUPTED: u8 = 130;

/// Dependency order for HashiCorp Nomad.
#[derive(Parser)]
#[command(
    name = "dtree",
    version = man::VERSION,
    arg_required_else_help = true,
    mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true))),
    after_help = "A Nomad client starts the same program as a task driver: copy it into the client's plugin_dir, and write \
                  `plugin \"dtree\" {}` into the client's configuration."
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check manifests, and jobspecs with tasks of dtree, without Nomad
    Check {
        /// NAME.dtree.hcl, NAME.dtree.json, or a Nomad jobspec in HCL; - reads from stdin
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Let jobspecs be anywhere on this disk: by `..`, by absolute paths
        #[arg(long)]
        outside: bool,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show what a run would do, and write nothing
    Plan {
        #[command(flatten)]
        tree: chosen::TreeArgs,
        /// Only the order, without Nomad
        #[arg(long)]
        offline: bool,
        /// One JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: connect::Connection,
    },
    /// Carry a tree out from here
    Run {
        #[command(flatten)]
        tree: chosen::TreeArgs,
        /// Give the approval that this wait waits for, when it is its turn; may be given again
        #[arg(long, value_name = "WAIT")]
        approve: Vec<String>,
        #[command(flatten)]
        events: events::Events,
        #[command(flatten)]
        connection: connect::Connection,
        #[command(flatten)]
        consul: consul::ConsulOptions,
    },
    /// Stop the jobs of a tree, those first that nothing needs any more
    Stop {
        #[command(flatten)]
        tree: chosen::TreeArgs,
        /// Have Nomad forget the jobs
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        events: events::Events,
        #[command(flatten)]
        connection: connect::Connection,
        #[command(flatten)]
        consul: consul::ConsulOptions,
    },
    /// Hand a tree and its jobspecs to the cluster, as a job with a task of dtree, and follow it
    Submit {
        #[command(flatten)]
        tree: chosen::TreeArgs,
        /// Do not follow it
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        events: events::Events,
        #[command(flatten)]
        connection: connect::Connection,
    },
    /// Draw what depends on what
    Graph(graph::Options),
    /// Print what nomad-dtree's dependency.json, or a mapping of ernest, says as a manifest
    Import {
        /// The file; - reads from stdin
        file: PathBuf,
        /// What the tree is called; else what the file calls it, or `imported`
        #[arg(long)]
        name: Option<String>,
        /// Only this job, and what it depends on
        #[arg(long)]
        job: Option<String>,
        /// Where the jobspecs are: JOB.nomad of a job; of a component TYPE-NAME.nomad.hcl or TYPE.nomad.hcl
        #[arg(long, value_name = "DIR")]
        jobspecs: Option<PathBuf>,
        /// One JSON document, also of what is wrong
        #[arg(long)]
        json: bool,
    },
    /// Print the least ACL policy for what a file declares, and how to attach it
    Policy(policy::Options),
    /// Print the manual, for `man -l -`
    Man,
    /// Wait until jobs, services, sockets or values are as they should be: exit code 0 met, 1 not in time or never
    Wait(wait::Options),
    /// Show how a tree stands: exit code 0 it is up, 1 it is not
    Status(status::Options),
    /// Show how the last runs of a tree ended
    History(status::Past),
    /// Tell what holds an allocation, a tree or a job up
    Why(why::Options),
    /// Give an approval that a gate or a tree waits for
    Approve(approve::Options),
    /// Find out whether all is there that dtree needs: exit code 0 it is, 1 something was found
    Doctor(doctor::Options),
    /// What trees have no verb for yet; whoever looks for it is told what does the job
    #[command(hide = true)]
    Restart(Missing),
    /// Likewise
    #[command(hide = true)]
    Rollback(Missing),
    /// Likewise
    #[command(hide = true)]
    Pause(Missing),
    /// Likewise
    #[command(hide = true)]
    Resume(Missing),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
}

/// The words of a command that is not there.
#[derive(clap::Args)]
struct Missing {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Missing {
    /// That trees have no such `verb`, and what does the job.
    fn tell(&self, verb: &str) -> Outcome {
        let of = |word: &OsString| word.to_str().filter(|word| !word.starts_with('-')).map(str::to_owned);
        let file = self.words.iter().find_map(of).unwrap_or_else(|| "FILE".to_owned());
        let help = match verb {
            "restart" => format!(
                "`dtree stop {file}` and then `dtree run {file}` bring all of it down and up again, in order; `nomad job restart JOB` restarts one job"
            ),
            "rollback" => format!(
                "`dtree run {file}` with the former jobspecs brings all of it back, in order; `nomad job revert JOB VERSION` one job, until the next run"
            ),
            "pause" => format!(
                "Ctrl-C once has `dtree run {file}` end what is under way and begin nothing new; a `wait` with `approval` holds a tree at its place"
            ),
            _ => format!("`dtree run {file}` goes on where a run ended"),
        };
        Err(Failure::cannot(format!("dtree: trees have no {verb} yet\n\nhint: {help}\n")))
    }
}

/// How a graph is drawn.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// For a terminal
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// A picture, for browsers and pages
    Svg,
}

/// What a command came to.
type Outcome = Result<(), Failure>;

/// Why a command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    /// For people, to its last line break.
    why: String,
    /// The exit code.
    code: u8,
}

impl Failure {
    /// dtree could not do its work, or what it was given is wrong.
    fn cannot(why: impl Into<String>) -> Self {
        Self { why: why.into(), code: CANNOT }
    }
}

/// Carries out what `words`, the program's name first, ask for.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let wrong = |error: &clap::Error| {
        // Nobody may be listening any more.
        error.print().ok();
        ExitCode::from(if error.use_stderr() { CANNOT } else { 0 })
    };
    if let Some(words) = words.get(1..).and_then(older::recognised) {
        return match older::run(words) {
            Ok(outcome) => ended(outcome),
            Err(error) => wrong(&error),
        };
    }
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(error) => return wrong(&error),
    };
    let outcome = match options.command {
        Command::Check { files, outside, json } => check::run(&files, outside, json),
        Command::Plan { tree, offline, json, connection } => plan::run(&tree, &connection, json, offline),
        Command::Run { tree, approve, events, connection, consul } => {
            run::run(&tree, &connection, &consul, chosen::Aim::Run, &approve, events)
        }
        Command::Stop { tree, purge, events, connection, consul } => {
            run::run(&tree, &connection, &consul, chosen::Aim::Stop { purge }, &[], events)
        }
        Command::Submit { tree, detach, events, connection } => {
            submit::run(&tree, &connection, detach, events)
        }
        Command::Graph(options) => graph::run(&options),
        Command::Import { file, name, job, jobspecs, json } => {
            import::run(&file, name.as_deref(), job.as_deref(), jobspecs.as_deref(), json)
        }
        Command::Policy(options) => policy::run(&options),
        Command::Wait(options) => wait::run(&options),
        Command::Status(options) => status::run(&options),
        Command::History(options) => status::history(&options),
        Command::Why(options) => why::run(&options),
        Command::Approve(options) => approve::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Restart(words) => words.tell("restart"),
        Command::Rollback(words) => words.tell("rollback"),
        Command::Pause(words) => words.tell("pause"),
        Command::Resume(words) => words.tell("resume"),
        Command::Man => man::run(),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Options::command(), "dtree", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    };
    ended(outcome)
}

/// The exit code, and why it is one that is not zero.
fn ended(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { why, code }) => {
            // Nobody may be listening any more.
            io::stderr().write_all(why.as_bytes()).ok();
            ExitCode::from(code)
        }
    }
}

/// Writes data to stdout. That nobody reads it to its end is no failure.
fn print(text: &str) -> Outcome {
    told(text).map(drop)
}

/// The same; whether anybody may still be reading.
fn told(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::cannot(format!("dtree: cannot write to stdout: {error}\n"))),
    }
}
