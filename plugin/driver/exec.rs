//! `nomad alloc exec` and `nomad action`: a few commands, answered by the plugin itself. No process is started.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use serde_json::json;
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::pb::drivers::{
    ExecTaskResponse, ExecTaskStreamingIoOperation, ExecTaskStreamingRequest, ExecTaskStreamingResponse,
    ExitResult,
};
use crate::{
    runner::{self, Ending, Running},
    show,
};

/// What a command prints, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    stdout: String,
    stderr: String,
    exit_code: i32,
}

/// How long a session stays open after its last word. Nomad passes the user's input on all the while, and if that fails
/// because the session is over before Nomad has read its last word, it says "unexpected EOF" instead of the exit code.
const LINGER: Duration = Duration::from_millis(500);

/// How long a gate may take to open by hand: it has nothing else to do.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

const USAGE: &str = "\
usage: nomad alloc exec -task TASK ALLOC COMMAND

    tree                   the steps as a tree, each under what it depends on
    why                    what holds it up, since when, until when, and what helps; --json for programs: all steps
    status                 all steps in columns
    open --reason TEXT     open a gate by hand; the reason is recorded
    approvals              the waits that can be approved now, a line each
    approve NAME           give the approval that the wait NAME waits for; --by TEXT says who gives it
";

/// What a user can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Tree,
    Why,
    Steps,
    Status,
    Help,
    Approvals,
    Open { reason: String },
    Approve { name: String, by: Option<String> },
}

impl Command {
    /// Reads the words of a command.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn from_words(words: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["tree"] => Ok(Self::Tree),
            ["why"] => Ok(Self::Why),
            ["why", "--json" | "-json"] => Ok(Self::Steps),
            ["status"] => Ok(Self::Status),
            ["approvals"] => Ok(Self::Approvals),
            ["help" | "-h" | "-help" | "--help"] => Ok(Self::Help),
            ["open", "--reason" | "-reason", reason] if !reason.trim().is_empty() => {
                Ok(Self::Open { reason: (*reason).to_owned() })
            }
            ["open", option] => match option.trim_start_matches('-').strip_prefix("reason=") {
                Some(reason) if !reason.trim().is_empty() => Ok(Self::Open { reason: reason.to_owned() }),
                _ => Err("open needs a reason: open --reason TEXT".to_owned()),
            },
            ["open", ..] => {
                Err("open needs a reason, in one word or in quotes: open --reason TEXT".to_owned())
            }
            ["approve", name] if !name.starts_with('-') => {
                Ok(Self::Approve { name: (*name).to_owned(), by: None })
            }
            ["approve", name, "--by" | "-by", by] if !name.starts_with('-') && !by.trim().is_empty() => {
                Ok(Self::Approve { name: (*name).to_owned(), by: Some((*by).to_owned()) })
            }
            ["approve", ..] => Err("approve needs the name of one wait: approve NAME [--by TEXT]".to_owned()),
            [word @ ("tree" | "why" | "status" | "approvals" | "help"), ..] => {
                Err(format!("{word} takes nothing else"))
            }
            [word, ..] => Err(format!("{word:?} is no command of dtree, and it runs no others")),
            [] => Err("which command?".to_owned()),
        }
    }
}

/// Answers the command `words` about a run.
pub(super) async fn answer(words: &[String], running: &Running) -> Answer {
    match Command::from_words(words) {
        Ok(Command::Tree) => Answer::good(show::tree(&running.status())),
        Ok(Command::Why) => Answer::good(show::why(&running.status())),
        Ok(Command::Steps) => {
            let steps = json!({ "steps": runner::steps(&running.status()) });
            Answer::good(format!("{steps:#}\n"))
        }
        Ok(Command::Status) => Answer::good(show::status(&running.status())),
        Ok(Command::Help) => Answer::good(USAGE.to_owned()),
        Ok(Command::Approvals) => Answer::good(lines(&running.approvals())),
        Ok(Command::Open { reason }) => open(reason, running).await,
        Ok(Command::Approve { name, by }) => approve(&name, by, running).await,
        Err(problem) => Answer::bad(format!("dtree: {problem}\n\n{USAGE}"), 2),
    }
}

/// One a line.
fn lines(names: &[String]) -> String {
    names.iter().flat_map(|name| [name.as_str(), "\n"]).collect()
}

async fn open(reason: String, running: &Running) -> Answer {
    if !running.is_gate() {
        let why = "dtree: this is no gate, and cannot be opened by hand; stop its job to end it\n";
        return Answer::bad(why.to_owned(), 1);
    }
    if let Some(ending) = running.ending() {
        return Answer::bad(format!("dtree: the gate has ended already: {}\n", said(&ending)), 1);
    }
    let opened = async {
        running.open(reason);
        running.ended().await
    };
    match timeout(OPEN_LIMIT, opened).await {
        Ok(Ending::Done) => Answer::good("the gate is open\n".to_owned()),
        Ok(ending) => Answer::bad(format!("dtree: the gate ended before: {}\n", said(&ending)), 1),
        Err(_) => Answer::bad("dtree: the gate does not answer\n".to_owned(), 1),
    }
}

async fn approve(name: &str, by: Option<String>, running: &Running) -> Answer {
    if let Some(ending) = running.ending() {
        return Answer::bad(format!("dtree: the run has ended already: {}\n", said(&ending)), 1);
    }
    match timeout(OPEN_LIMIT, running.approve(name, by)).await {
        Ok(Ok(())) => Answer::good(format!("{name} is approved\n")),
        Ok(Err(open)) if open.is_empty() => {
            Answer::bad("dtree: nothing waits for an approval now\n".to_owned(), 1)
        }
        Ok(Err(open)) => Answer::bad(
            format!("dtree: {name:?} does not wait for an approval now; these do: {}\n", open.join(", ")),
            1,
        ),
        Err(_) => Answer::bad("dtree: the run does not answer\n".to_owned(), 1),
    }
}

fn said(ending: &Ending) -> &str {
    match ending {
        Ending::Done => "it is open",
        Ending::Failed { message } => message,
        Ending::Stopped => "it was stopped",
        Ending::Panicked => "dtree panicked",
    }
}

impl Answer {
    fn good(stdout: String) -> Self {
        Self { stdout, stderr: String::new(), exit_code: 0 }
    }

    fn bad(stderr: String, exit_code: i32) -> Self {
        Self { stdout: String::new(), stderr, exit_code }
    }

    fn result(&self) -> ExitResult {
        ExitResult { exit_code: self.exit_code, signal: 0, oom_killed: false }
    }

    /// The answer in one piece.
    pub(super) fn into_response(self) -> ExecTaskResponse {
        let result = Some(self.result());
        ExecTaskResponse { stdout: self.stdout.into_bytes(), stderr: self.stderr.into_bytes(), result }
    }

    /// The answer as a session, which always ends with the exit. With `is_raw`, the user's terminal does nothing about
    /// newlines by itself.
    pub(super) fn into_messages(
        self,
        is_raw: bool,
    ) -> impl Iterator<Item = ExecTaskStreamingResponse> + Send + use<> {
        let piece = |text: &str| {
            let text = if is_raw { text.replace('\n', "\r\n") } else { text.to_owned() };
            (!text.is_empty()).then(|| ExecTaskStreamingIoOperation { data: text.into_bytes(), close: false })
        };
        let stdout = piece(&self.stdout);
        let stderr = piece(&self.stderr);
        let messages = [
            ExecTaskStreamingResponse { stdout, ..ExecTaskStreamingResponse::default() },
            ExecTaskStreamingResponse { stderr, ..ExecTaskStreamingResponse::default() },
            ExecTaskStreamingResponse {
                exited: true,
                result: Some(self.result()),
                ..ExecTaskStreamingResponse::default()
            },
        ];
        messages
            .into_iter()
            .filter(|message| message.exited || message.stdout.is_some() || message.stderr.is_some())
    }
}

/// The silence at the end of a session: what the user still types is read and forgotten. It ends with the other side, or
/// after [`LINGER`].
pub(super) fn linger(
    mut input: Streaming<ExecTaskStreamingRequest>,
) -> impl Stream<Item = Result<ExecTaskStreamingResponse, Status>> + Send {
    // An error is an end, too.
    let forget = async move { while let Ok(Some(_)) = input.message().await {} };
    Silence(Box::pin(async move {
        timeout(LINGER, forget).await.ok();
    }))
}

/// A stream of nothing, that ends with what it does meanwhile.
struct Silence<F>(Pin<Box<F>>);

impl<F: Future<Output = ()>> Stream for Silence<F> {
    type Item = Result<ExecTaskStreamingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll(context).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, String> {
        Command::from_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_gate_opens_only_with_a_reason() {
        let reason = || Ok(Command::Open { reason: "db is fine".to_owned() });
        assert_eq!(read(&["open", "--reason", "db is fine"]), reason());
        assert_eq!(read(&["open", "--reason=db is fine"]), reason());
        let without: [&[&str]; 8] = [
            &["open"],
            &["open", "--reason"],
            &["open", "--reason", ""],
            &["open", "--reason", " "],
            &["open", "--reason="],
            &["open", "now"],
            &["open", "--reason", "db", "is", "fine"],
            &["open", "--force", "x"],
        ];
        for words in without {
            assert!(read(words).unwrap_err().contains("--reason TEXT"), "{words:?}");
        }
    }

    #[test]
    fn an_approval_names_one_wait() {
        let of =
            |by: Option<&str>| Ok(Command::Approve { name: "release".to_owned(), by: by.map(str::to_owned) });
        assert_eq!(read(&["approve", "release"]), of(None));
        assert_eq!(read(&["approve", "release", "--by", "kim of ops"]), of(Some("kim of ops")));
        let wrong: [&[&str]; 7] = [
            &["approve"],
            &["approve", "--by", "kim"],
            &["approve", "a", "b"],
            &["approve", "a", "--by"],
            &["approve", "a", "--by", " "],
            &["approve", "a", "--as", "kim"],
            &["approve", "a", "--by", "kim", "b"],
        ];
        for words in wrong {
            assert!(read(words).unwrap_err().contains("approve NAME"), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_command_is_said() {
        let wrong: [&[&str]; 4] = [&[], &["sh"], &["/bin/sh", "-c", "ls"], &["tree", "-v"]];
        let told: Vec<_> = wrong.iter().map(|words| read(words).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        which command?
        "sh" is no command of dtree, and it runs no others
        "/bin/sh" is no command of dtree, and it runs no others
        tree takes nothing else
        "#);
    }

    #[test]
    fn a_session_always_ends_with_the_exit() {
        for answer in [Answer::good(String::new()), Answer::bad("no\n".to_owned(), 2)] {
            let code = answer.exit_code;
            let last = answer.into_messages(false).last().unwrap();
            assert!(last.exited && last.result.unwrap().exit_code == code);
        }
    }

    #[test]
    fn a_raw_terminal_gets_carriage_returns() {
        let data = |is_raw| {
            let first = Answer::good("a\nb\n".to_owned()).into_messages(is_raw).next().unwrap();
            first.stdout.unwrap().data
        };
        assert_eq!(data(false), b"a\nb\n");
        assert_eq!(data(true), b"a\r\nb\r\n");
    }
}
