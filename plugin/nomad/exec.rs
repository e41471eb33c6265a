//! A command carried out in a task: what `nomad alloc exec` does, without input.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::time::timeout;
use tracing::debug;

use super::{
    Capability, Client, Error,
    chunks::Chunks,
    query::{encode, within},
    transport::{Answer, Question},
};
use crate::{
    cluster::{AllocId, Namespace},
    http::{Session, SessionEnd},
};

/// How long a command may take: dtree's own are answered within five seconds, and linger for half a second.
const LIMIT: Duration = Duration::from_secs(20);
/// How much of what a command prints is read.
const MAX_PRINTED: usize = 1 << 20;
/// What Nomad adds to an HTTP status where a session ends with it.
const AS_CODE: u16 = 4000;

/// What a command printed, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
    /// Its exit code.
    pub exit_code: i32,
}

#[derive(Deserialize)]
struct WireMessage {
    stdout: Option<WirePiece>,
    stderr: Option<WirePiece>,
    #[serde(default)]
    exited: bool,
    result: Option<WireResult>,
}

#[derive(Deserialize)]
struct WirePiece {
    #[serde(default, deserialize_with = "bytes")]
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct WireResult {
    #[serde(default)]
    exit_code: i32,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    STANDARD.decode(text).map_err(D::Error::custom)
}

impl Client {
    /// Carries out the command `words` in a task that runs, and waits for its end.
    ///
    /// # Errors
    ///
    /// When Nomad does not carry it out. Whether it did is not known when the connection was lost on the way.
    pub async fn exec(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        task: &str,
        words: &[&str],
    ) -> Result<Executed, Error> {
        let wanted =
            format!("carry out `{}` in task {task} of allocation {}", words.join(" "), alloc.short());
        let command = serde_json::to_string(words)
            .map_err(|source| Error::Garbled { wanted: wanted.clone(), source })?;
        let path = format!("/v1/client/allocation/{}/exec", encode(alloc.as_str()));
        let target = format!(
            "{}&task={}&tty=false&command={}",
            within(&path, namespace),
            encode(task),
            encode(&command)
        );
        debug!(endpoint = %self.endpoint(), target, "session");
        let question = Question { limit: LIMIT, ..self.question(&target, &wanted) };
        let whole = async {
            match question.session().await? {
                Ok(session) => heard(session, &question).await,
                Err(end) => Ok(Err(end)),
            }
        };
        match timeout(LIMIT, whole).await.unwrap_or_else(|_elapsed| Err(question.timed_out()))? {
            Ok(executed) => Ok(executed),
            Err(end) => Err(self.not_executed(end, &question, &wanted, namespace)),
        }
    }

    /// What it means that a session ended before the command did.
    fn not_executed(
        &self,
        end: SessionEnd,
        question: &Question<'_>,
        wanted: &str,
        namespace: &Namespace,
    ) -> Error {
        let (status, body) = match end {
            SessionEnd::Broken(error) => return question.lost(error),
            SessionEnd::Refused { status, body } => (status, body),
            SessionEnd::Closed { code, reason } => {
                let status = code.checked_sub(AS_CODE).and_then(|code| StatusCode::from_u16(code).ok());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), reason.into_bytes())
            }
        };
        let mut head = Response::new(());
        *head.status_mut() = status;
        let mut chunks = Chunks::default();
        chunks.push(Bytes::from(body));
        self.refusal(&Answer { head, body: chunks }, wanted, namespace, Capability::AllocExec)
    }
}

/// All that a command prints, to its end.
async fn heard(mut session: Session, question: &Question<'_>) -> Result<Result<Executed, SessionEnd>, Error> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let message = match session.next().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Err(SessionEnd::Broken(std::io::ErrorKind::UnexpectedEof.into()))),
            Err(end) => return Ok(Err(end)),
        };
        let message: WireMessage = serde_json::from_slice(&message)
            .map_err(|source| Error::Garbled { wanted: question.wanted.to_owned(), source })?;
        stdout.extend(message.stdout.map(|piece| piece.data).unwrap_or_default());
        stderr.extend(message.stderr.map(|piece| piece.data).unwrap_or_default());
        if stdout.len() + stderr.len() > MAX_PRINTED {
            return Err(Error::TooLong { wanted: question.wanted.to_owned(), limit: MAX_PRINTED });
        }
        if message.exited {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let exit_code = message.result.map_or(0, |result| result.exit_code);
            return Ok(Ok(Executed { stdout: text(&stdout), stderr: text(&stderr), exit_code }));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{UnixListener, UnixStream},
    };
    use tokio_tungstenite::{
        accept_async,
        tungstenite::{Message, protocol::CloseFrame},
    };

    use super::*;
    use crate::nomad::{Asker, Endpoint, Token};

    /// What comes of a command that is answered so.
    async fn executed<F: Future<Output = ()>>(
        answer: impl FnOnce(UnixStream) -> F,
    ) -> Result<Executed, Error> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = Client::new(Endpoint::Unix(path), Token::new("t")).in_the_name_of(Asker::User);
        let (alloc, namespace) = ("61d0c2aa-0000".into(), "shop".into());
        let asked = client.exec(&alloc, &namespace, "gate", &["approve", "a b"]);
        let answered = async { answer(listener.accept().await.unwrap().0).await };
        tokio::join!(asked, answered).0
    }

    async fn session(messages: Vec<Message>) -> Result<Executed, Error> {
        executed(async |stream| {
            let mut session = accept_async(stream).await.unwrap();
            for message in messages {
                session.send(message).await.unwrap();
            }
        })
        .await
    }

    fn said(answer: Result<Executed, Error>) -> String {
        let error = answer.unwrap_err();
        format!("{}\n{}", error.chain(), error.hint().unwrap_or_default())
    }

    fn closed(code: u16, reason: &'static str) -> Message {
        Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
    }

    #[tokio::test]
    async fn a_command_is_heard_to_its_end() {
        let answer = session(vec![
            Message::text(r#"{"stdout":{"data":"cmVsZWFzZSA="}}"#),
            Message::text("{}"),
            Message::text(r#"{"stdout":{"data":"aXM="},"stderr":{"data":"IQ==","close":true}}"#),
            Message::text(r#"{"exited":true,"result":{"exit_code":3}}"#),
        ])
        .await;
        let (stdout, stderr) = ("release is".to_owned(), "!".to_owned());
        assert_eq!(answer.unwrap(), Executed { stdout, stderr, exit_code: 3 });
    }

    #[tokio::test]
    async fn a_right_that_is_missing_is_named() {
        let answer = session(vec![closed(4403, "Permission denied")]).await;
        insta::assert_snapshot!(said(answer), @r#"
        Nomad does not allow your token to carry out `approve a b` in task gate of allocation 61d0c2aa in namespace `shop`
        give your token a policy with the line
          namespace "shop" { capabilities = ["list-jobs", "read-job", "alloc-exec"] }
        "#);
    }

    #[tokio::test]
    async fn a_session_that_ends_before_its_command_is_no_answer() {
        insta::assert_snapshot!(said(session(vec![closed(4500, "task \"gate\" is not running")]).await), @r#"Nomad answered 500 when asked to carry out `approve a b` in task gate of allocation 61d0c2aa: task "gate" is not running"#);
        assert!(session(vec![closed(1000, "")]).await.unwrap_err().is_transient());
        let cut = executed(async |mut stream| {
            let _read = stream.read(&mut [0; 64]).await.unwrap();
        });
        assert!(cut.await.unwrap_err().is_transient());
        assert!(matches!(session(vec![Message::text("hello")]).await, Err(Error::Garbled { .. })));
    }

    #[tokio::test]
    async fn who_speaks_http_only_opens_no_session() {
        let answer = executed(async |mut stream| {
            let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied";
            stream.write_all(answer.as_bytes()).await.unwrap();
            // It is read to its end before the connection ends.
            stream.read_to_end(&mut Vec::new()).await.ok();
        })
        .await;
        assert!(answer.unwrap_err().is_denied());
    }
}
