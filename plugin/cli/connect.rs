//! A user's own way to Nomad: what the options and Nomad's environment variables say, and what to say when it leads nowhere.

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    Failure,
    tls::{Files, NomadTls},
};
use crate::{
    cluster::{JobKey, Namespace},
    nomad::{self, Asker, Client, Token},
    watch::{Viewer, Way},
};

/// Where an agent listens that is not told otherwise.
const USUAL: &str = "http://127.0.0.1:4646";

/// What the options say about Nomad.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Nomad")]
pub(super) struct Connection {
    /// Where Nomad listens: an http or https address, or `unix:///PATH`
    #[arg(long, env = "NOMAD_ADDR", value_name = "URL", default_value = USUAL)]
    address: String,
    /// The ACL token
    #[arg(long, env = "NOMAD_TOKEN", value_name = "SECRET")]
    token: Option<String>,
    /// The namespace of what names none
    #[arg(long, env = "NOMAD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// The region, where it is not that of the agent
    #[arg(long, env = "NOMAD_REGION", value_name = "NAME")]
    region: Option<String>,
    #[command(flatten)]
    tls: NomadTls,
}

impl Connection {
    /// The same to another address.
    pub(super) fn at(&self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self.clone() }
    }

    /// The same with these files for TLS.
    pub(super) fn with_files(&self, files: Files) -> Self {
        Self { tls: self.tls.with(files), ..self.clone() }
    }

    /// The way to Nomad. Asks nothing yet.
    ///
    /// # Errors
    ///
    /// When the address is none, or the token could not be sent.
    pub(super) fn way(&self) -> Result<Way, Failure> {
        // As Nomad's own command takes a variable that says nothing.
        let address = Some(self.address.trim()).filter(|address| !address.is_empty()).unwrap_or(USUAL);
        let endpoint = nomad::endpoint_with(address, &self.tls.trust()?).map_err(|error| refused(&error))?;
        let token = match self.token.as_deref().unwrap_or_default().trim() {
            "" => None,
            text => Some(Token::new(text).ok_or_else(|| {
                Failure::cannot("dtree: the token has letters that no token has: check NOMAD_TOKEN\n")
            })?),
        };
        let region = self.region.clone().filter(|region| !region.is_empty());
        Ok(Way::User { endpoint, token, region })
    }

    /// The namespace that was given, if one was.
    ///
    /// # Errors
    ///
    /// When all of them were: `*` is none to write to.
    pub(super) fn namespace(&self) -> Result<Option<Namespace>, Failure> {
        match self.namespace.as_deref().unwrap_or_default() {
            "" => Ok(None),
            "*" => Err(Failure::cannot(
                "dtree: a tree is in one namespace, and NOMAD_NAMESPACE is `*`: give `--namespace NAME`\n",
            )),
            name => Ok(Some(name.into())),
        }
    }

    /// The namespace that was given, which may be all of them.
    pub(super) fn namespace_or_all(&self) -> Namespace {
        self.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default").into()
    }

    /// A client that has been answered at least once: whoever uses it knows that Nomad is there.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let client = self.way()?.client(Asker::User).map_err(|error| refused(&error))?;
        client.acls_enabled().await.map_err(|error| refused(&error))?;
        Ok(client)
    }

    /// Who looks and acts where a task of the job `tree` would.
    pub(super) fn viewer(&self, tree: JobKey) -> Result<Viewer, Failure> {
        Ok(Viewer { way: self.way()?, job: tree, task: Viewer::USERS_TASK.to_owned() })
    }
}

/// That Nomad did not do what was wanted, why not, and what to do.
pub(super) fn refused(error: &nomad::Error) -> Failure {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
    Failure::cannot(format!("dtree: {}\n{hint}", error.chain()))
}

/// Does `work`, which talks to Nomad.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::cannot(format!("dtree: cannot begin: {error}\n")))?;
    let outcome = runtime.block_on(work);
    // What is still being looked up is of no interest any more.
    runtime.shutdown_background();
    outcome
}

/// Every time that the user, or whoever ends processes, wants an end.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on they do not end the process.
    pub(super) fn catch() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind).map_err(|error| Failure::cannot(format!("dtree: cannot wait for Ctrl-C: {error}\n")))
        };
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// The next time. Nothing is lost when the returned future is dropped.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
